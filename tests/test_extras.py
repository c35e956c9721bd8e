"""A package that is missing is named with the command that installs it."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from spnet.errors import UserError
from spnet.extras import EXTRAS, import_extra

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spnet"


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


def imported_at_the_top(path: Path) -> set[str]:
    """Modules that a file imports when it is imported itself, and names in them, which may be modules too."""
    modules: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def test_no_command_and_no_public_name_needs_an_extra_to_be_imported() -> None:
    """What needs one is imported inside functions, after `import_extra`; the app's own modules may import theirs."""
    files = {path: imported_at_the_top(path) for path in SOURCE.rglob("*.py")}
    name_of = {path: ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in files}
    needing = {name_of[path] for path, names in files.items() if {name.split(".")[0] for name in names} & EXTRAS.keys()}
    while more := {name_of[path] for path, names in files.items() if names & needing} - needing:
        needing |= more
    public = re.findall(r"^from \.([\w.]+) import", (SOURCE / "__init__.pyi").read_text(), re.MULTILINE)
    assert not needing & {f"spnet.{name}" for name in public}
    assert not {name for name in needing if name.startswith("spnet.cli.")}
    assert "spnet.app.server" in needing


def test_what_is_there_is_imported() -> None:
    assert import_extra("av").__name__ == "av"
