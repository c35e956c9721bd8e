"""Collects scenes and persons: numbers them through all splits, and checks each while its source is known."""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from math import isfinite
from pathlib import Path

from spnet.data.schema import MAX_BOXES_PER_PERSON, Split, image_record, person_record
from spnet.errors import UserError

FIRST_UNKNOWN_ID = 5555  # what unknown persons are numbered from, as in published results


class DatasetBuilder:
    """Ids count from 0 through all splits, in the order in which scenes and boxes are added to the open split."""

    def __init__(self) -> None:
        self.splits: dict[str, Split] = {}
        self._open = Split([], [], "")
        self._image_ids, self._box_ids = count(), count()
        self._sizes: dict[int, tuple[int, int]] = {}
        self._occurrences: Counter[tuple[int, int]] = Counter()

    def open_split(self, name: str, image_root: Path | str) -> None:
        """Add from now on to this split; `image_root` is a path, or a text relative to the data set's folder."""
        root = image_root if isinstance(image_root, str) else str(image_root.resolve())
        self._open = self.splits[name] = Split([], [], root)

    def add_scene(self, file_name: str, size: tuple[int, int], camera: int = -1, identifier: int | None = None) -> int:
        """Add an image of `size` (width, height) and return its id: the next number, or the one given."""
        identifier = next(self._image_ids) if identifier is None else identifier
        self._sizes[identifier] = size
        self._open.images.append(image_record(identifier, file_name, *size, camera))
        return identifier

    def add_person(
        self,
        image: int,
        box: Sequence[float],
        person: int,
        context: str,
        is_known: bool = True,
        identifier: int | None = None,
        iou_threshold: float | None = None,
    ) -> int:
        """Add a box [x, y, width, height] with an area and return its id: the next number, or the one given.

        Raises UserError beginning with `context` (file and record) if the box has no pixel in the image, or the person
        more boxes in it than possible.
        """
        _check_inside(box, self._sizes[image], context)
        self._occurrences[image, person] += 1
        if self._occurrences[image, person] > MAX_BOXES_PER_PERSON:
            raise UserError(f"{context}: a third box of person {person} in one scene; at most 2 are possible")
        identifier = next(self._box_ids) if identifier is None else identifier
        self._open.annotations.append(person_record(identifier, image, box, person, is_known, iou_threshold))
        return identifier


def _check_inside(box: Sequence[float], size: tuple[int, int], context: str) -> None:
    """Raise UserError if [x, y, width, height] has no area or lies outside an image of `size` (width, height)."""
    x, y, width, height = box
    inside = x < size[0] and y < size[1] and x + width > 0 and y + height > 0
    if not (inside and width > 0 and height > 0 and all(map(isfinite, box))):
        shown = ", ".join(f"{value:g}" for value in box)
        raise UserError(f"{context}: box [{shown}] (x, y, width, height) is not in its {size[0]}x{size[1]} image")
