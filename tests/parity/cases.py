"""Where the parity cases are: this folder, and the directory that SPNET_PARITY names."""

import os
from pathlib import Path

HERE = Path(__file__).parent


def parity_roots() -> list[Path]:
    """This folder and, if the environment variable SPNET_PARITY is set, that directory."""
    other = os.environ.get("SPNET_PARITY")
    return [HERE, Path(other)] if other else [HERE]


def find_cases(pattern: str) -> list[Path]:
    """All files matching a glob below the parity roots, sorted; none where a subfolder is missing."""
    return [path for root in parity_roots() for path in sorted(root.glob(pattern))]


def case_name(path: Path) -> str:
    """A readable test id."""
    return "/".join(path.parts[-3:])
