"""Packages that only some of the work needs: imported when used, and named with their install command when missing."""

import importlib
from types import ModuleType

from spnet.errors import UserError

EXTRAS = {"av": "video", "fastapi": "app", "lancedb": "search", "pyarrow": "search", "ray": "ray", "uvicorn": "app"}


def import_extra(package: str) -> ModuleType:
    """Import a package of an extra. Raises UserError with the command that installs it where it is missing."""
    try:
        return importlib.import_module(package)
    except ImportError:
        wanted = f"'spnet[{EXTRAS[package]}]'" if package in EXTRAS else package
        raise UserError(f"{package} is not installed: pip install {wanted}") from None
