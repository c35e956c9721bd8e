"""Reads a large struct array a record at a time: scipy takes 1 kB an entry, and CUHK-SYSU's galleries have millions."""

import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io

from spnet.data.converters.find_release import read_bytes
from spnet.data.converters.matlab.layout import (
    HEADER,
    INT8,
    MATRIX,
    STRUCT,
    Array,
    Element,
    Layout,
    check_mat,
    variables,
)
from spnet.errors import UserError

_NAME = b"x"  # scipy takes a variable without a name for something else


def stream_structs(
    path: Path, key: str, fields: Sequence[str], directory: str
) -> Iterator[dict[str, npt.NDArray[np.generic]]]:
    """The records of the struct array `key`, each as {field: what scipy makes of it}.

    Raises UserError if the file is missing (`directory` is where it should be), damaged, without the key, or the
    array is not of structs with all `fields`.
    """
    data = read_bytes(path, f"the release keeps it {directory}")
    try:
        check_mat(data)
        layout, array = _find(path, data, key)
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
    except UserError:
        raise
    except Exception as error:  # a damaged file trips scipy's parser anywhere: many kinds of exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged or not a MATLAB file: {reason}") from None


def _find(path: Path, data: bytes, key: str) -> tuple[Layout, Array]:
    found = []
    for layout, matrix, _ in variables(data):
        array = layout.array(matrix)
        name = layout.data[array.name.start : array.name.end].decode("latin-1")
        if name == key:
            return layout, array
        found.append(name)
    raise UserError(f"{path}: has no {key!r}, only {', '.join(map(repr, found)) or 'nothing'}")


def _load(header: bytes, layout: Layout, matrix: Element) -> npt.NDArray[np.generic]:
    """One array inside another: scipy reads it as a file of its own, in which it has a name."""
    if matrix.start == matrix.end:
        return np.empty((0, 0))
    array = layout.array(matrix)
    unnamed = layout.data[array.name.following : matrix.end]
    before = layout.data[matrix.start : array.name.start - (4 if _is_small(layout, array.name) else 8)]
    name = struct.pack(f"{layout.order}I4s", len(_NAME) << 16 | INT8, _NAME)
    size = len(before) + len(name) + len(unnamed)
    tag = struct.pack(f"{layout.order}II", MATRIX, size)
    file = io.BytesIO(b"".join((header, tag, before, name, unnamed)))
    loaded: npt.NDArray[np.generic] = scipy.io.loadmat(file)[_NAME.decode()]
    return loaded


def _is_small(layout: Layout, element: Element) -> bool:
    """Whether an element's data stand in its tag."""
    return element.following == element.start + 4 and element.end > element.start
