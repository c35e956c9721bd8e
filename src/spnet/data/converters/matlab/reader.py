"""Reads the releases' MATLAB files strictly: nested cells and structs, where a wrong shape must say in which record.

A large struct array comes a record at a time: scipy takes 1 kB an entry, and CUHK-SYSU's galleries have millions.
"""

import io
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
import scipy.io

from spnet.data.converters.find_release import read_bytes
from spnet.data.converters.matlab.layout import HEADER, INT8, MATRIX, STRUCT, Element, Layout, check_mat, variables
from spnet.errors import UserError

_NAME = b"x"  # scipy takes a variable without a name for something else


def read_mat(path: Path, keys: Sequence[str], directory: str) -> npt.NDArray[np.generic]:
    """The first variable of `keys` that a .mat file holds.

    Raises UserError if the file is missing (`directory` is where it should be), damaged, or has none of the keys.
    """
    with _name_damage(path):
        data = _read_checked(path, directory)
        return _load(data[:HEADER], *_find(path, data, keys))


def stream_structs(
    path: Path, key: str, fields: Sequence[str], directory: str
) -> Iterator[dict[str, npt.NDArray[np.generic]]]:
    """The records of the struct array `key`, each as {field: what scipy makes of it}.

    Raises UserError like `read_mat`, and if the array is not of structs with all `fields`.
    """
    with _name_damage(path):
        data = _read_checked(path, directory)
        layout, matrix = _find(path, data, [key])
        array = layout.array(matrix)
        names, offset = layout.fields(array) if array.kind == STRUCT else ([], 0)
        missing = [field for field in fields if field not in names]
        if missing:
            raise UserError(f"{path}: {key}: not structs with the field {missing[0]!r}, only {names}")
        for _ in range(array.items):
            record = {}
            for name in names:
                child = layout.element(offset, array.end, MATRIX)
                record[name] = _load(data[:HEADER], layout, child)
                offset = child.following
            yield record


@contextmanager
def _name_damage(path: Path) -> Iterator[None]:
    """Raise UserError naming `path` for whatever is raised inside the block."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a damaged file trips scipy's parser anywhere: many kinds of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged or not a MATLAB file: {reason}") from None


def _read_checked(path: Path, directory: str) -> bytes:
    data = read_bytes(path, f"the release keeps it {directory}")
    check_mat(data)
    return data


def _find(path: Path, data: bytes, keys: Sequence[str]) -> tuple[Layout, Element]:
    """The first of `keys` among a file's variables."""
    found: dict[str, tuple[Layout, Element]] = {}
    for layout, matrix, _ in variables(data):
        name = layout.array(matrix).name
        found[layout.data[name.start : name.end].decode("latin-1")] = layout, matrix
    for key in keys:
        if key in found:
            return found[key]
    raise UserError(f"{path}: has no {' or '.join(map(repr, keys))}, only {', '.join(map(repr, found)) or 'nothing'}")


def _load(header: bytes, layout: Layout, matrix: Element) -> npt.NDArray[np.generic]:
    """One array, that may be inside another: scipy reads it as a file of its own, in which it has the name `_NAME`."""
    if matrix.start == matrix.end:
        return np.empty((0, 0))
    name = layout.array(matrix).name
    is_small = name.following == name.start + 4 and name.end > name.start  # its data stand in its tag
    before = layout.data[matrix.start : name.start - (4 if is_small else 8)]
    content = before + struct.pack(f"{layout.order}I4s", len(_NAME) << 16 | INT8, _NAME)
    content += layout.data[name.following : matrix.end]
    tag = struct.pack(f"{layout.order}II", MATRIX, len(content))
    loaded: npt.NDArray[np.generic] = scipy.io.loadmat(io.BytesIO(header + tag + content))[_NAME.decode()]
    return loaded


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
