"""The files of PRW: frame lists and tables of boxes in MATLAB files, and a text file of queries."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spnet.data.converters.builder import FIRST_UNKNOWN_ID
from spnet.data.converters.find_release import read_lines
from spnet.data.converters.matlab.reader import read_mat, texts
from spnet.errors import UserError

NO_IDENTITY = -2  # the release's mark of a person without identity
_BOX_KEYS = ["box_new", "anno_file", "anno_previous"]


class Query(NamedTuple):
    """A line of query_info.txt."""

    person: int
    box: npt.NDArray[np.int64]  # (4,) x, y, width, height
    frame: str
    context: str  # file and line


def read_frame_list(path: Path, key: str) -> list[str]:
    """The names of a part's frames, in the release's order. Raises UserError."""
    names = texts(read_mat(path, [key], "in its top folder"), f"{path}: {key}")
    seen: set[str] = set()
    for row, name in enumerate(names, 1):
        if not re.match(r"c\d+s\d+_\d+$", name):
            raise UserError(f"{path}: {key} {row}: {name!r} is not a frame's name such as c1s1_000151")
        if name in seen:
            raise UserError(f"{path}: {key} {row}: {name} is listed twice")
        seen.add(name)
    if not names:
        raise UserError(f"{path}: {key} is empty")
    return names


def read_boxes(path: Path) -> list[list[int]]:
    """Rows of id, x, y, width, height of a frame, truncated to whole pixels and clipped at 0. Raises UserError."""
    table = read_mat(path, _BOX_KEYS, "in its folder annotations")
    if table.size == 0:
        return []
    if table.ndim != 2 or table.shape[1] != 5 or table.dtype.kind not in "iuf":
        raise UserError(f"{path}: boxes are a table of {table.shape}, not of rows id, x, y, width, height")
    for row, values in enumerate(table.tolist(), 1):
        if not np.isfinite(values).all() or min(values[3:]) < 0:
            raise UserError(f"{path}: row {row}: {values} is not finite or has a negative size")
        if values[0] != int(values[0]) or (values[0] < 0 and values[0] != NO_IDENTITY) or values[0] >= FIRST_UNKNOWN_ID:
            raise UserError(
                f"{path}: row {row}: id {values[0]:g} is not a person's number, nor {NO_IDENTITY} for unknown"
            )
    whole = table.astype(np.int64)
    whole[:, 1:] = whole[:, 1:].clip(min=0)
    rows: list[list[int]] = whole.tolist()
    return rows


def read_queries(path: Path) -> list[Query]:
    """The queries in the order of the file. Raises UserError."""
    lines = read_lines(path, "the release keeps it in its top folder")
    queries = [_parse_query(line, f"{path}: line {number}") for number, line in lines]
    if not queries:
        raise UserError(f"{path}: it lists no query")
    return queries


def _parse_query(line: str, context: str) -> Query:
    fields = line.split()
    if len(fields) != 6:
        raise UserError(f"{context}: {len(fields)} columns, not id, x, y, width, height, frame")
    try:
        person, box = int(fields[0]), np.array(fields[1:5], np.float64)
    except ValueError:
        raise UserError(f"{context}: {line.strip()!r} does not begin with a whole number and four numbers") from None
    if not np.isfinite(box).all():
        raise UserError(f"{context}: {line.strip()!r} has a box that is not finite")
    return Query(person, box.astype(np.int64).clip(min=0), fields[5].removesuffix(".jpg"), context)
