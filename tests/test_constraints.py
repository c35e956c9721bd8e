"""`constraints/`: the lowest and the tested version of each direct dependency, in step with pyproject.toml.

`SPNET_GOLDEN=write pytest tests/test_constraints.py` writes both anew, the tested versions from what is installed.
"""

import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

from golden import assert_golden, rewriting

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = ROOT / "constraints"
CONTRIBUTORS = ("dev", "docs")  # extras that users do not install


def requirements() -> dict[str, Requirement]:
    """What users install, with all extras, by name."""
    extras = {name: lines for name, lines in PROJECT["optional-dependencies"].items() if name not in CONTRIBUTORS}
    found = [Requirement(line) for lines in (PROJECT["dependencies"], *extras.values()) for line in lines]
    return {one.name: one for one in sorted(found, key=lambda one: one.name.lower()) if one.name != PROJECT["name"]}


def lower_bound(requirement: Requirement) -> str:
    """The version that `>=` names."""
    (bound,) = [one.version for one in requirement.specifier if one.operator == ">="]
    return bound


def lines(versions: Mapping[str, str]) -> str:
    return "".join(f"{name}=={number}\n" for name, number in versions.items())


def test_lowest_are_the_bounds_of_the_project() -> None:
    assert_golden(CONSTRAINTS / "lowest.txt", lines({name: lower_bound(one) for name, one in requirements().items()}))


def test_tested_are_allowed_by_the_project() -> None:
    file, wanted = CONSTRAINTS / "tested.txt", requirements()
    if rewriting():
        file.write_text(lines({name: version(name) for name in wanted}))
    tested = dict(line.split("==") for line in file.read_text().splitlines())
    assert list(tested) == list(wanted)
    for name, number in tested.items():
        assert wanted[name].specifier.contains(number.partition("+")[0]), f"{name} {number}"


def test_known_bad_releases_stay_excluded() -> None:
    """Lightning 2.6.2 and 2.6.3 were malicious uploads."""
    lightning = requirements()["lightning"].specifier
    assert not any(lightning.contains(bad) for bad in ("2.6.2", "2.6.3"))
    assert lightning.contains("2.6.4")
