"""Turns lists of JSON records into checked arrays; every complaint names the file, the record and the value.

Columns are checked as whole arrays; a record is looked at alone only to name the first bad one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.ragged import index_of, is_first

LARGEST_INTEGER = 2**53  # beyond it JSON readers of other languages round


@dataclass(frozen=True)
class Records:
    """A list of JSON objects of one kind ("image", "annotation") and the file they came from."""

    path: Path
    kind: str
    rows: list[dict[str, Any]]
    places: Sequence[int]  # (N,) where in the file's list the rows stand

    @classmethod
    def of(cls, document: object, key: str, kind: str, path: Path) -> "Records":
        """The list `document[key]`, which must hold objects. Raises UserError otherwise."""
        rows = document.get(key) if isinstance(document, Mapping) else None
        if not isinstance(rows, list):
            raise UserError(f"{path}: not a COCO annotation file: it has no list {key!r}")
        records = cls(path, kind, rows, range(len(rows)))
        for row, record in enumerate(rows):
            if not isinstance(record, dict):
                records.fail(row, f"is {_shown(record)}, not an object")
        return records

    def fail(self, row: int, message: str) -> NoReturn:
        """Raise UserError for the record in this row of the list."""
        record = self.rows[row]
        identifier = f" (id {_shown(record['id'])})" if isinstance(record, dict) and "id" in record else ""
        raise UserError(f"{self.path}: {self.kind} {self.places[row]}{identifier}: {message}")

    def refuse(self, bad: npt.NDArray[np.bool_], message: str) -> None:
        """Raise UserError for the first row where the bool array (N,) `bad` is set, with the number of others."""
        if bad.any():
            others = int(bad.sum()) - 1
            self.fail(int(bad.argmax()), f"{message} (and {others} more)" if others else message)

    def take(self, kept: npt.NDArray[np.bool_]) -> "Records":
        """Those of the records where the bool array (N,) `kept` is set."""
        rows = np.flatnonzero(kept).tolist()
        return Records(self.path, self.kind, [self.rows[row] for row in rows], [self.places[row] for row in rows])

    def values(self, key: str, fits: Callable[[Any], bool], wanted: str, default: object = None) -> list[Any]:
        """Field `key` of every record, each of which must fit: be `wanted`; only a default allows for none."""
        values = [record.get(key, default) for record in self.rows]
        for row, is_fit in enumerate(map(fits, values)):
            if not is_fit:
                is_missing = key not in self.rows[row]
                self.fail(row, f"has no {key!r}" if is_missing else f"{key} is {_shown(values[row])}, not {wanted}")
        return values

    def integers(self, key: str, low: int, default: int | None = None) -> npt.NDArray[np.int64]:
        """Field `key` as int64 (N,), each an integer of at least `low`."""

        def fits(value: Any) -> bool:
            return type(value) is int and low <= value <= LARGEST_INTEGER

        return np.array(self.values(key, fits, f"an integer of at least {low}", default), np.int64)

    def unique_integers(self, key: str) -> npt.NDArray[np.int64]:
        """Field `key` as int64 (N,) where no value comes twice."""
        values = self.integers(key, 0)
        self.refuse(~is_first(values), f"another {self.kind} has the same {key}")
        return values

    def rows_of(self, key: str, image_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Field `key` as rows int64 (N,) into the unique ids (S,) of the images, each of which must be there."""
        wanted = self.integers(key, 0)
        rows = index_of(image_ids, wanted)
        unknown = rows < 0
        if unknown.any():
            self.refuse(unknown, f"{key} {wanted[unknown.argmax()]} is the id of no image")
        return rows

    def numbers(self, key: str, default: float | None = None) -> npt.NDArray[np.float64]:
        """Field `key` as finite float64 (N,)."""
        return np.array(self.values(key, _is_finite_number, "a finite number", default), np.float64)

    def booleans(self, key: str) -> npt.NDArray[np.bool_]:
        """Field `key` as bool (N,)."""
        return np.array(self.values(key, lambda value: type(value) is bool, "true or false"), bool)

    def texts(self, key: str) -> tuple[str, ...]:
        """Field `key` as non-empty strings."""
        return tuple(self.values(key, lambda value: isinstance(value, str) and value != "", "a name"))

    def boxes(self, key: str, may_be_empty: bool = False) -> npt.NDArray[np.float64]:
        """Field `key`, [x, y, width, height], as float64 (N, 4) pixels xyxy; empty boxes only where they may be."""
        values = self.values(key, _is_box, "four finite numbers [x, y, width, height]")
        boxes = np.array(values, np.float64).reshape(-1, 4)
        shorter = boxes[:, 2:].min(axis=1)
        wrong = shorter < 0 if may_be_empty else shorter <= 0
        if wrong.any():
            row = int(wrong.argmax())
            self.fail(row, f"{key} is {_shown(values[row])}: width and height must be positive")
        boxes[:, 2:] += boxes[:, :2]
        return boxes


def _is_finite_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= LARGEST_INTEGER


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_finite_number, value))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
