"""The persons of a COCO file, checked, and those of COCO's own instances with their ids."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spnet.data.converters.builder import DatasetBuilder
from spnet.data.validation import Records
from spnet.errors import UserError
from spnet.files import read_json

_PERSON_CATEGORY = 1
_IOU_THRESHOLD = 0.5  # for every box of COCOPersons, however small (docs/method.md, "Data")


def add_persons(builder: DatasetBuilder, path: Path, image_folder: Path, dropped: Counter[str]) -> None:
    """Add the images with a person to the builder's open split, and their persons, each a known identity.

    Crowds, other classes and boxes without an area are counted in `dropped`. Raises UserError if the file is not
    COCO's, a record is malformed, or images are there but not all of them.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; it comes with COCO's annotations_trainval2017.zip")
    document = read_json(path)
    images = Records.of(document, "images", "image", path)
    _check_categories(Records.of(document, "categories", "category", path))
    widths, heights = images.integers("width", 1).tolist(), images.integers("height", 1).tolist()
    image_ids, names = images.unique_integers("id"), images.texts("file_name")
    persons, counts = single_persons(Records.of(document, "annotations", "annotation", path), [_PERSON_CATEGORY])
    reasons = ("instances of {} that are no persons", "crowds of persons in {}", "persons of {} whose box has no area")
    dropped.update({reason.format(path.name): count for reason, count in zip(reasons, counts, strict=True)})
    kept = np.unique(persons.rows_of("image_id", image_ids)).tolist()
    if not kept:
        raise UserError(f"{path}: it holds no person (category {_PERSON_CATEGORY}, not a crowd)")
    dropped[f"images of {path.name} without a person"] += len(names) - len(kept)
    _check_images(image_folder, [names[row] for row in kept])
    for row in kept:
        builder.add_scene(names[row], (widths[row], heights[row]), identifier=int(image_ids[row]))
    for record in persons.rows:
        image, box, number = record["image_id"], record["bbox"], record["id"]
        context = f"{path}: annotation {number}"
        builder.add_person(image, box, number, context, identifier=number, iou_threshold=_IOU_THRESHOLD)


def _check_categories(categories: Records) -> None:
    person = [record.get("name") for record in categories.rows if record.get("id") == _PERSON_CATEGORY]
    if person != ["person"]:
        raise UserError(
            f"{categories.path}: not COCO's categories: number {_PERSON_CATEGORY} is {person}, not 'person'"
        )


def single_persons(annotations: Records, categories: Sequence[int]) -> tuple[Records, list[int]]:
    """Annotations of some categories that are single persons with an area, in the order of the file.

    The second value counts what is left out: other categories, crowds, boxes without an area.
    """
    annotations.unique_integers("id")
    is_person = np.isin(annotations.integers("category_id", 0), categories)
    is_crowd = annotations.integers("iscrowd", 0, default=0) > 0
    persons = annotations.take(is_person & ~is_crowd)
    boxes = persons.boxes("bbox", may_be_empty=True)
    has_area = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    left_out = (~is_person, is_person & is_crowd, ~has_area)
    return persons.take(has_area), [int(rows.sum()) for rows in left_out]


def _check_images(folder: Path, names: list[str]) -> None:
    """Raise UserError if some of the images are in the folder and others are not; no folder at all is no error."""
    if not folder.is_dir():
        return
    present = set(os.listdir(folder))
    missing = [name for name in names if name not in present]
    if missing:
        raise UserError(f"{folder / missing[0]}: no such image ({len(missing)} of {len(names)} are missing)")
