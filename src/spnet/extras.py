"""Packages that only some of the work needs: imported when used, and named with their install command when missing."""

import importlib
from types import ModuleType

from spnet.errors import UserError

EXTRAS = {
    "av": "video",
    "fastapi": "app",
    "lancedb": "search",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "pyarrow": "search",
    "ray": "ray",
    "submitit": "slurm",
    "uvicorn": "app",
}


def import_extra(module: str) -> ModuleType:
    """Import a module of an extra. Raises UserError with the command that installs it where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise UserError(f"{package} is not installed: {install_command(package)}") from None


def install_command(package: str) -> str:
    """Name the command that installs a package: by its extra where it has one."""
    return f"pip install 'spnet[{EXTRAS[package]}]'" if package in EXTRAS else f"pip install {package}"
