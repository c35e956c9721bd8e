"""One's own scenes with YOLO labels that say who a person is, as trackers and CVAT write them.

A folder of images has a text file for each beside it, or in the folder of the same name below `labels` instead of
`images`; a line is `class cx cy w h [confidence] [id]`, the box in fractions of the image. An image without a file
shows nobody; a line without an id, or with a negative one, shows somebody unknown.
"""

import os
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from spnet.data.converters.find_release import read_lines
from spnet.data.converters.image_sizes import read_sizes
from spnet.data.converters.labeled import LabeledBox, LabeledScene, check_named_once, convert_labeled
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.sources import IMAGE_SUFFIXES
from spnet.errors import UserError

_COLUMNS = "class cx cy w h [confidence] [id]"
_MOST = 2.0  # a fraction of the image; boxes may reach over its edge, but not so far


def prepare_yolo(
    train: Sequence[Path], test: Sequence[Path] = (), person_class: int = 0, same_ids: bool = False
) -> ConvertedDataset:
    """Convert folders of images with their labels to the splits `train` and `test`; each folder is a camera.

    Without `test` the last third of each folder's images, by name, is the test part. With `same_ids` an id is the same
    person in all folders; otherwise in its own alone, as trackers count. Raises UserError for a folder without images
    or labels, and for a line that is wrong.
    """
    folders = [folder.resolve() for folder in (*train, *test)]
    check_named_once(folders, "folder")
    dropped: Counter[str] = Counter()
    first, rest = (
        [scene for folder in part for scene in _read(folder, person_class, same_ids, dropped)]
        for part in (folders[: len(train)], folders[len(train) :])
    )
    return convert_labeled(first, rest, Path(os.path.commonpath(folders)), str(folders[-1]), dropped)


def _read(folder: Path, person_class: int, same_ids: bool, dropped: Counter[str]) -> list[LabeledScene]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    images = sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise UserError(f"{folder}: there are no images in it")
    labels = [_label_file(image) for image in images]
    if not any(file.is_file() for file in labels):
        raise UserError(f"{labels[0]}: no such file, and no labels of any other image of {folder}")
    there = {file for place in {file.parent for file in labels} for file in place.glob("*.txt")}
    dropped["label files without an image"] += len(there - set(labels))
    return [
        LabeledScene(image, size, folder, _read_labels(file, size, person_class, None if same_ids else folder, dropped))
        for image, file, size in zip(images, labels, read_sizes(images), strict=True)
    ]


def _label_file(image: Path) -> Path:
    """`.../images/street/1.jpg` -> `.../labels/street/1.txt`, or beside the image if no folder is `images`."""
    parts = list(image.with_suffix(".txt").parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _read_labels(
    file: Path, size: tuple[int, int], person_class: int, ids_of: Path | None, dropped: Counter[str]
) -> list[LabeledBox]:
    people = []
    for number, line in read_lines(file, "it was there a moment ago") if file.exists() else []:
        context = f"{file}, line {number}"
        kind, box, person = _parse(line, context)
        if kind != person_class:
            dropped[f"boxes of other classes than {person_class}"] += 1
            continue
        cx, cy, width, height = (side * pixels for side, pixels in zip(box, size * 2, strict=True))
        who: Hashable | None = None if person is None else (ids_of, person)
        people.append(LabeledBox((cx - width / 2, cy - height / 2, width, height), who, context))
    return people


def _parse(line: str, context: str) -> tuple[int, list[float], int | None]:
    """Class, [cx, cy, w, h] in fractions, and the id if there is one."""
    fields = line.split()
    if not 5 <= len(fields) <= 7:
        raise UserError(f"{context}: {len(fields)} columns; a line is {_COLUMNS}")
    try:
        values = [float(field) for field in fields]
    except ValueError:
        raise UserError(f"{context}: {line.strip()!r} is not numbers between blanks") from None
    box = values[1:5]
    if not np.isfinite(values).all() or min(box[2:]) <= 0 or max(map(abs, box)) > _MOST:
        raise UserError(f"{context}: box {' '.join(fields[1:5])} is no cx cy w h in fractions of the image, 0 to 1")
    if values[0] != int(values[0]):
        raise UserError(f"{context}: class {fields[0]} is no whole number")
    if len(fields) == 5:
        return int(values[0]), box, None
    if values[-1] != int(values[-1]):
        raise UserError(f"{context}: id {fields[-1]} is no whole number (is it a confidence?); a line is {_COLUMNS}")
    return int(values[0]), box, int(values[-1]) if values[-1] >= 0 else None
