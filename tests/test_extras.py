"""A package that is missing is named with the command that installs it."""

import sys

import pytest

from spnet.errors import UserError
from spnet.extras import EXTRAS, import_extra


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_a_missing_package_is_named(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package} is not installed: pip install 'spnet\[{extra}\]'"):
        import_extra(package)


def test_what_is_there_is_imported() -> None:
    assert import_extra("av").__name__ == "av"
