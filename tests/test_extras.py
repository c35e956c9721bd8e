"""A package that is missing is named with the command that installs it."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from spnet.errors import UserError
from spnet.extras import EXTRAS, import_extra

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_a_missing_package_is_named(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package} is not installed: pip install 'spnet\[{extra}\]'"):
        import_extra(package)


def test_each_package_is_in_its_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for package, extra in EXTRAS.items():
        assert package in {Requirement(line).name for line in extras[extra]}
        assert package not in {Requirement(line).name for line in project["dependencies"]}


def top_level_imports(path: Path) -> Iterator[str]:
    """Packages that a file imports when it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def test_only_the_app_needs_an_extra_to_be_imported() -> None:
    """Everything else imports where only the project's dependencies are installed."""
    source = ROOT / "src" / "spnet"
    needing = {path for path in source.rglob("*.py") if not EXTRAS.keys().isdisjoint(top_level_imports(path))}
    assert {path.relative_to(source).parts[0] for path in needing} <= {"app"}


def test_what_is_there_is_imported() -> None:
    assert import_extra("av").__name__ == "av"
