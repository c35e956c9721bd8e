"""Walks a MATLAB 5 file's nested elements before scipy does: scipy trusts sizes, and damaged ones can crash it.

The layout is MathWorks' "MAT-File Format", level 5: a header of 128 bytes, then elements, each a tag (type, bytes) and
its data padded to 8 bytes; an array is an element that holds flags, dimensions, a name and then its content.
"""

import math
import struct
import zlib
from typing import NamedTuple

HEADER = 128
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
UTF8 = 16
CELL, STRUCT, CHAR, NUMERIC = 1, 2, 4, range(6, 16)
COMPLEX = 0x800
DEEPEST = 16


class Element(NamedTuple):
    """Where an element's data stand."""

    kind: int
    start: int
    end: int
    following: int  # where the next element's tag is


def check_mat(data: bytes) -> None:
    """Raise ValueError with the reason unless `data` is a whole MATLAB 5 file whose sizes fit into each other.

    Arrays of classes that no release has (sparse, objects) are not looked into.
    """
    if data[126:128] not in (b"IM", b"MI"):
        raise ValueError("it has no MATLAB 5 header")
    order = "<" if data[126:128] == b"IM" else ">"
    offset = HEADER
    while offset < len(data):
        element = _element(data, offset, len(data), order)
        if element.kind == COMPRESSED:
            _decompress(data[element.start : element.end])  # has a checksum: what is in it is as it was saved
        else:
            _check_matrix(data, element, order, 0)
        offset = element.following


def _decompress(data: bytes) -> None:
    try:
        zlib.decompress(data)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def _element(data: bytes, offset: int, end: int, order: str) -> Element:
    if offset + 8 > end:
        raise ValueError(f"it ends in the middle of an element, at byte {offset}")
    kind, size = struct.unpack_from(f"{order}II", data, offset)
    if kind >> 16:  # up to four bytes stand in the tag itself
        kind, size, start, following = kind & 0xFFFF, kind >> 16, offset + 4, offset + 8
    else:
        start = offset + 8
        following = start + size + (-size % 8 if kind not in (MATRIX, COMPRESSED) else 0)
    if size > end - start or (start == offset + 4 and size > 4):
        raise ValueError(f"the element at byte {offset} reaches over the end")
    return Element(kind, start, start + size, min(following, end))


def _check_matrix(data: bytes, matrix: Element, order: str, depth: int) -> None:
    if matrix.kind != MATRIX or depth > DEEPEST:
        raise ValueError(f"there is no array at byte {matrix.start}")
    if matrix.start == matrix.end:
        return
    flags = _child(data, matrix.start, matrix, order, UINT32)
    dimensions = _child(data, flags.following, matrix, order, INT32, UINT32)
    name = _child(data, dimensions.following, matrix, order, INT8, UTF8)
    if flags.end - flags.start != 8 or (dimensions.end - dimensions.start) % 4:
        raise ValueError(f"the array at byte {matrix.start} has no shape")
    bits = struct.unpack_from(f"{order}I", data, flags.start)[0]
    shape = struct.unpack_from(f"{order}{(dimensions.end - dimensions.start) // 4}i", data, dimensions.start)
    if len(shape) < 2 or min(shape) < 0:
        raise ValueError(f"the array at byte {matrix.start} has the shape {shape}")
    kind, count = bits & 0xFF, math.prod(shape)
    if kind in (CELL, STRUCT):
        fields, offset = (1, name.following) if kind == CELL else _fields(data, name.following, matrix, order)
        for _ in range(count * fields):
            child = _element(data, offset, matrix.end, order)
            _check_matrix(data, child, order, depth + 1)
            offset = child.following
    elif kind == CHAR or kind in NUMERIC:
        offset = name.following
        for _ in range(2 if bits & COMPLEX else 1):
            offset = _check_values(data, offset, matrix, order, count, kind == CHAR)


def _child(data: bytes, offset: int, matrix: Element, order: str, *kinds: int) -> Element:
    child = _element(data, offset, matrix.end, order)
    if child.kind not in kinds:
        raise ValueError(f"the element at byte {offset} is of type {child.kind}, not {kinds[0]}")
    return child


def _fields(data: bytes, offset: int, matrix: Element, order: str) -> tuple[int, int]:
    """How many fields a struct has, and where its values begin."""
    length = _child(data, offset, matrix, order, INT32)
    names = _child(data, length.following, matrix, order, INT8)
    width = struct.unpack_from(f"{order}i", data, length.start)[0] if length.end - length.start == 4 else 0
    if width <= 0 or (names.end - names.start) % width:
        raise ValueError(f"the struct at byte {matrix.start} has no list of fields")
    return (names.end - names.start) // width, names.following


def _check_values(data: bytes, offset: int, matrix: Element, order: str, count: int, is_text: bool) -> int:
    """Check an array's values and return where they end."""
    values = _element(data, offset, matrix.end, order)
    size = ITEM_SIZES.get(values.kind, 0)
    length = values.end - values.start
    fits = length == count * size or (is_text and (values.kind == UTF8 or length == 0))  # MATLAB saves such blanks
    if not size or not fits or (values.kind >= UTF8 and not is_text):
        raise ValueError(f"the array at byte {matrix.start} has not the {count} values of its shape")
    return values.following
