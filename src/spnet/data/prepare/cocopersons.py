"""COCOPersons: the persons of COCO 2017, each a person of its own, and the subsets that the paper trains on."""

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from spnet.data.prepare.builder import DatasetBuilder
from spnet.data.prepare.coco_draws import WrongBoxes, draw_fewer, draw_slices, draw_wrong
from spnet.data.prepare.coco_files import IOU_THRESHOLD, add_persons
from spnet.data.prepare.locate import find_root
from spnet.data.prepare.summary import Prepared
from spnet.data.schema import Split, person_record

FIRST_WRONG_ID = 300000
MARKS = [f"{folder}instances_{year}.json" for folder in ("annotations/", "") for year in ("train2017", "val2017")]


def prepare_cocopersons(source: Path) -> Prepared:
    """Convert COCO 2017 at `source`: train, val, p20 to p180, G10 to G10000, all with COCO's own ids.

    A split that would hold no box is left out. Raises UserError where a file is missing or is not COCO's.
    """
    root = find_root(source, MARKS, "COCO 2017")
    root = root.parent if root.name == "annotations" else root
    dropped: Counter[str] = Counter()
    notes: list[str] = []
    builder = DatasetBuilder()
    for name in ("train", "val"):
        pictures = _picture_folder(root, f"{name}2017", notes)
        builder.open_split(name, pictures)
        add_persons(builder, _instances_file(root, f"{name}2017"), pictures, dropped)
    taken = {record["id"] for split in builder.splits.values() for record in split.annotations}
    splits = {**builder.splits, **subsets(builder.splits["train"], taken)}
    empty = [name for name, split in splits.items() if not split.annotations]
    if empty:
        notes.append(f"there are too few images for {', '.join(empty)}: not written")
    kept = {name: split for name, split in splits.items() if name not in empty}
    return Prepared(kept, {}, {reason: number for reason, number in dropped.items() if number}, notes=notes)


def _instances_file(root: Path, year: str) -> Path:
    below, beside = root / "annotations" / f"instances_{year}.json", root / f"instances_{year}.json"
    return beside if beside.exists() and not below.exists() else below


def _picture_folder(root: Path, year: str, notes: list[str]) -> Path:
    """Where the pictures are; COCO's files have the sizes, so preparing can do without the pictures."""
    places = [root / year, root / "images" / year, root.parent / year, root.parent / "images" / year]
    for place in places:
        if place.is_dir():
            return place
    notes.append(f"{places[0]}: no pictures there yet; COCO has them in {year}.zip, and training will need them")
    return places[0]


def subsets(train: Split, taken: set[int]) -> dict[str, Split]:
    """p20 to p180 and G10 to G10000 of the train split; `taken` are ids that no wrong box may get."""
    image_of_box = np.array([record["image_id"] for record in train.annotations], np.int64)
    fewer = draw_fewer(image_of_box)
    result = {}
    for name, wanted in fewer.items():
        result[name] = _subset(train, [train.annotations[row] for row in np.flatnonzero(wanted)])
    free_ids = (identifier for identifier in count(FIRST_WRONG_ID) if identifier not in taken)
    so_far = list(result["p100"].annotations)
    for name, added in draw_wrong(image_of_box).items():
        so_far = so_far + _wrong_records(train, added, free_ids)
        result[name] = _subset(train, so_far)
    images = np.array([image["id"] for image in train.images], np.int64)
    for name, part in draw_slices(images).items():
        inside = set(part.tolist())
        result[name] = _subset(train, [record for record in train.annotations if record["image_id"] in inside])
    return result


def _subset(train: Split, annotations: list[dict[str, Any]]) -> Split:
    inside = {record["image_id"] for record in annotations}
    return Split([image for image in train.images if image["id"] in inside], annotations, train.image_root)


def _wrong_records(train: Split, added: WrongBoxes, free_ids: Iterator[int]) -> list[dict[str, Any]]:
    """Boxes moved to another image, scaled by the sizes of the two; each is a person nobody is."""
    size_of = {image["id"]: (image["width"], image["height"]) for image in train.images}
    records = []
    for image, row in zip(added.images.tolist(), added.boxes.tolist(), strict=True):
        x, y, width, height = train.annotations[row]["bbox"]
        old, new = size_of[train.annotations[row]["image_id"]], size_of[image]
        box = (x / old[0] * new[0], y / old[1] * new[1], width / old[0] * new[0], height / old[1] * new[1])
        identifier = next(free_ids)
        records.append(person_record(identifier, image, box, identifier, iou_threshold=IOU_THRESHOLD))
    return records
