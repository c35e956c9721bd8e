"""Reads the releases' MATLAB files strictly: nested cells and structs, where a wrong shape must say in which record."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
import scipy.io

from spnet.data.converters.find_release import read_bytes
from spnet.data.converters.matlab.layout import check_mat
from spnet.errors import UserError


def read_mat(path: Path, keys: Sequence[str], directory: str) -> npt.NDArray[np.generic]:
    """The first variable of `keys` that a .mat file holds.

    Raises UserError if the file is missing (`directory` is where it should be), damaged, or has none of the keys.
    """
    data = read_bytes(path, f"the release keeps it {directory}")
    try:
        check_mat(data)
        content = scipy.io.loadmat(io.BytesIO(data))
    except Exception as error:  # a damaged file trips scipy's parser anywhere: many kinds of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged or not a MATLAB file: {reason}") from None
    for key in keys:
        value = content.get(key)
        if isinstance(value, np.ndarray):
            return value
    found = sorted(key for key in content if not key.startswith("__"))
    raise UserError(f"{path}: has no {' or '.join(map(repr, keys))}, only {', '.join(map(repr, found)) or 'nothing'}")


def structs(value: object, fields: Sequence[str], context: str) -> list[np.void]:
    """The elements of a struct array, or of a cell array of single structs, each with all `fields`."""
    if isinstance(value, np.ndarray) and value.dtype == object and value.size:
        return [
            element for row, cell in enumerate(value.flat) for element in _single(cell, fields, f"{context} {row + 1}")
        ]
    if not isinstance(value, np.ndarray) or not (value.size == 0 or value.dtype.names):
        raise UserError(f"{context}: not a list of structs with {', '.join(fields)}")
    missing = [field for field in fields if value.size and field not in (value.dtype.names or ())]
    if missing:
        raise UserError(f"{context}: has no field {missing[0]!r}, only {', '.join(value.dtype.names or ())}")
    return list(value.flat)


def _single(cell: object, fields: Sequence[str], context: str) -> list[np.void]:
    elements = structs(cell, fields, context) if not _is_cells(cell) else []
    if len(elements) != 1:
        raise UserError(f"{context}: not one struct with {', '.join(fields)}")
    return elements


def _is_cells(value: object) -> TypeGuard[npt.NDArray[np.object_]]:
    return isinstance(value, np.ndarray) and value.dtype == object


def texts(value: object, context: str) -> list[str]:
    """A cell array of strings."""
    if not _is_cells(value):
        raise UserError(f"{context}: not a cell array of names")
    return [text(cell, f"{context} {row + 1}") for row, cell in enumerate(value.flat)]


def text(value: object, context: str) -> str:
    """One string; equal ones are the same object, since galleries repeat the same names millions of times."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "U" or value.size != 1 or not value.flat[0].strip():
        raise UserError(f"{context}: not a name")
    return sys.intern(str(value.flat[0]))


def box(value: object, context: str) -> tuple[float, float, float, float] | None:
    """Four finite numbers x, y, width, height; None where the array is empty."""
    if isinstance(value, np.ndarray) and value.size == 0:
        return None
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf" or value.size != 4:
        raise UserError(f"{context}: not a box of four numbers")
    x, y, width, height = value.astype(np.float64).ravel().tolist()
    if not np.isfinite(value).all() or width < 0 or height < 0:
        raise UserError(f"{context}: box [{x:g}, {y:g}, {width:g}, {height:g}] is not finite or has a negative size")
    return x, y, width, height
