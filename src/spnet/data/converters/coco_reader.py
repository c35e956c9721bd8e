"""The persons of one COCO instances file, checked and with COCO's own ids."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
    sizes = np.stack([images.integers("width", 1), images.integers("height", 1)], axis=1).tolist()
    row_of = {image: row for row, image in enumerate(images.unique_integers("id").tolist())}
    names = images.texts("file_name")
    persons = _persons(Records.of(document, "annotations", "annotation", path), dropped)
    persons.rows_of("image_id", images.unique_integers("id"))
    if not persons.rows:
        raise UserError(f"{path}: it holds no person (category {_PERSON_CATEGORY}, not a crowd)")
    with_persons = {record["image_id"] for record in persons.rows}
    kept = {image: row for image, row in row_of.items() if image in with_persons}
    dropped[f"images of {path.name} without a person"] += len(row_of) - len(kept)
    _check_images(image_folder, [names[row] for row in kept.values()])
    for image, row in kept.items():
        builder.add_scene(names[row], (sizes[row][0], sizes[row][1]), identifier=image)
    for record in persons.rows:
        _add_person(builder, record, f"{path}: annotation {record['id']}")


def _check_categories(categories: Records) -> None:
    person = [record.get("name") for record in categories.rows if record.get("id") == _PERSON_CATEGORY]
    if person != ["person"]:
        raise UserError(
            f"{categories.path}: not COCO's categories: number {_PERSON_CATEGORY} is {person}, not 'person'"
        )


def _persons(instances: Records, dropped: Counter[str]) -> Records:
    """The instances that are single persons with an area, in the order of the file."""
    instances.unique_integers("id")
    is_person = instances.integers("category_id", 0) == _PERSON_CATEGORY
    is_crowd = instances.integers("iscrowd", 0, default=0) > 0
    name = instances.path.name
    dropped[f"instances of {name} that are no persons"] += int((~is_person).sum())
    dropped[f"crowds of persons in {name}"] += int((is_person & is_crowd).sum())
    persons = Records(instances.path, "annotation", _select(instances, is_person & ~is_crowd))
    boxes = persons.boxes("bbox", may_be_empty=True)
    has_area = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    dropped[f"persons of {name} whose box has no area"] += int((~has_area).sum())
    return Records(instances.path, "annotation", _select(persons, has_area))


def _select(records: Records, kept: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    return [record for record, take in zip(records.rows, kept, strict=True) if take]


def _check_images(folder: Path, names: list[str]) -> None:
    """Raise UserError if some of the images are in the folder and others are not; no folder at all is no error."""
    if not folder.is_dir():
        return
    present = set(os.listdir(folder))
    missing = [name for name in names if name not in present]
    if missing:
        raise UserError(f"{folder / missing[0]}: no such image ({len(missing)} of {len(names)} are missing)")


def _add_person(builder: DatasetBuilder, record: dict[str, Any], context: str) -> None:
    identifier = record["id"]
    builder.add_person(
        record["image_id"], record["bbox"], identifier, context, identifier=identifier, iou_threshold=_IOU_THRESHOLD
    )
