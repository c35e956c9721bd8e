"""The layout of MATLAB 5 files, read without trust: scipy believes every size, and a damaged one can crash Python.

After MathWorks' "MAT-File Format", level 5: a header of 128 bytes, then elements, each a tag (type, bytes) and its data
padded to 8 bytes; an array is an element that holds flags, dimensions, a name and then its content.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

HEADER = 128
INT8, _INT32, _UINT32, MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_UTF8 = 16
_CELL, STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_COMPLEX = 0x800
_DEEPEST = 16


class Element(NamedTuple):
    """Where an element's data stand."""

    kind: int
    start: int
    end: int
    following: int  # where the next element's tag is


class Array(NamedTuple):
    """What stands before an array's content."""

    kind: int
    is_complex: bool
    items: int  # how many it has
    name: Element
    end: int


@dataclass(frozen=True)
class Layout:
    """Elements in a file's bytes. Every method raises ValueError with the place where sizes or types do not fit."""

    data: bytes
    order: str  # "<" little or ">" big endian

    def element(self, offset: int, end: int, *kinds: int) -> Element:
        """The element whose tag is at `offset` and which must be over at `end`, of one of `kinds` if any are given."""
        if offset + 8 > end:
            raise ValueError(f"it ends in the middle of an element, at byte {offset}")
        kind, size = struct.unpack_from(f"{self.order}II", self.data, offset)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, size, start, following = kind & 0xFFFF, kind >> 16, offset + 4, offset + 8
        else:
            start = offset + 8
            following = start + size + (-size % 8 if kind not in (MATRIX, _COMPRESSED) else 0)
        if size > end - start or (start == offset + 4 and size > 4):
            raise ValueError(f"the element at byte {offset} reaches over the end")
        if kinds and kind not in kinds:
            raise ValueError(f"the element at byte {offset} is of type {kind}, not {kinds[0]}")
        return Element(kind, start, start + size, min(following, end))

    def array(self, matrix: Element) -> Array:
        """The beginning of a (not empty) array element."""
        flags = self.element(matrix.start, matrix.end, _UINT32)
        dimensions = self.element(flags.following, matrix.end, _INT32, _UINT32)
        name = self.element(dimensions.following, matrix.end, INT8, _UTF8)
        if flags.end - flags.start != 8 or (dimensions.end - dimensions.start) % 4:
            raise ValueError(f"the array at byte {matrix.start} has no shape")
        bits = struct.unpack_from(f"{self.order}I", self.data, flags.start)[0]
        length = (dimensions.end - dimensions.start) // 4
        shape = struct.unpack_from(f"{self.order}{length}i", self.data, dimensions.start)
        if len(shape) < 2 or min(shape) < 0:
            raise ValueError(f"the array at byte {matrix.start} has the shape {shape}")
        return Array(bits & 0xFF, bool(bits & _COMPLEX), math.prod(shape), name, matrix.end)

    def fields(self, array: Array) -> tuple[list[str], int]:
        """The names of a struct array's fields, and where its values begin."""
        length = self.element(array.name.following, array.end, _INT32)
        names = self.element(length.following, array.end, INT8)
        is_one = length.end - length.start == 4
        width = struct.unpack_from(f"{self.order}i", self.data, length.start)[0] if is_one else 0
        if width <= 0 or (names.end - names.start) % width:
            raise ValueError(f"the struct at byte {array.name.start} has no list of fields")
        text = self.data[names.start : names.end].decode("latin-1")
        return [text[place : place + width].rstrip("\0") for place in range(0, len(text), width)], names.following


def variables(data: bytes) -> Iterator[tuple[Layout, Element, bool]]:
    """The arrays of a file, and whether each was compressed. Raises ValueError."""
    if data[126:128] not in (b"IM", b"MI"):
        raise ValueError("it has no MATLAB 5 header")
    layout = Layout(data, "<" if data[126:128] == b"IM" else ">")
    offset = HEADER
    while offset < len(data):
        element = layout.element(offset, len(data), MATRIX, _COMPRESSED)
        if element.kind == _COMPRESSED:
            try:
                content = zlib.decompress(data[element.start : element.end])
            except zlib.error as error:
                raise ValueError(str(error)) from None
            inner = Layout(content, layout.order)
            yield inner, inner.element(0, len(content), MATRIX), True
        else:
            yield layout, element, False
        offset = element.following


def check_mat(data: bytes) -> None:
    """Raise ValueError with the reason unless `data` is a whole MATLAB 5 file whose sizes fit into each other.

    Compressed arrays have a checksum, and are as they were saved. Arrays of classes that no release has (sparse,
    objects) are not looked into.
    """
    for layout, matrix, was_compressed in variables(data):
        if not was_compressed:
            _check_array(layout, matrix, 0)


def _check_array(layout: Layout, matrix: Element, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"arrays are nested too deeply at byte {matrix.start}")
    if matrix.start == matrix.end:
        return
    array = layout.array(matrix)
    if array.kind in (_CELL, STRUCT):
        names, offset = ([""], array.name.following) if array.kind == _CELL else layout.fields(array)
        for _ in range(array.items * len(names)):
            child = layout.element(offset, array.end, MATRIX)
            _check_array(layout, child, depth + 1)
            offset = child.following
    elif array.kind == _CHAR or array.kind in _NUMERIC:
        offset = array.name.following
        for _ in range(2 if array.is_complex else 1):
            offset = _check_values(layout, array, offset)


def _check_values(layout: Layout, array: Array, offset: int) -> int:
    """Check an array's values and return where they end."""
    values = layout.element(offset, array.end)
    size, length, is_text = _ITEM_SIZES.get(values.kind, 0), values.end - values.start, array.kind == _CHAR
    fits = length == array.items * size or (is_text and (values.kind == _UTF8 or length == 0))  # blanks may be empty
    if not size or not fits or (values.kind >= _UTF8 and not is_text):
        raise ValueError(f"the array at byte {array.name.start} has not the {array.items} values of its shape")
    return values.following
