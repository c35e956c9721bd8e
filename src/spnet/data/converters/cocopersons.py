"""COCOPersons: the persons of COCO 2017, each a person of its own, and the subsets that the paper trains on."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spnet.data.converters.builder import DatasetBuilder
from spnet.data.converters.coco_subsets import fraction_subsets, restrict, sample_slices
from spnet.data.converters.find_release import find_root
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.schema import Split
from spnet.data.validation import Records
from spnet.errors import UserError
from spnet.files import read_json

_EXPECTED_FILES = [
    f"{folder}instances_{year}.json" for folder in ("annotations/", "") for year in ("train2017", "val2017")
]
_PERSON_CATEGORY = 1
_IOU_THRESHOLD = 0.5  # for every box of COCOPersons, however small (docs/method.md, "Data")


def prepare_cocopersons(source: Path) -> ConvertedDataset:
    """Convert COCO 2017 at `source`: train, val, p20 to p180, G10 to G10000, all with COCO's own ids.

    A split that would hold no box is left out. Raises UserError where a file is missing or is not COCO's.
    """
    root = find_root(source, _EXPECTED_FILES, "COCO 2017")
    root = root.parent if root.name == "annotations" else root
    dropped: Counter[str] = Counter()
    notes: list[str] = []
    builder = DatasetBuilder()
    for name in ("train", "val"):
        images = _image_folder(root, f"{name}2017", notes)
        builder.open_split(name, images)
        add_persons(builder, _instances_file(root, f"{name}2017"), images, dropped)
    splits = {**builder.splits, **fraction_subsets(builder.splits, "train"), **image_slices(builder.splits["train"])}
    empty = [name for name, split in splits.items() if not split.annotations]
    if empty:
        notes.append(f"there are too few images for {', '.join(empty)}: not written")
    kept = {name: split for name, split in splits.items() if name not in empty}
    return ConvertedDataset(kept, {}, {reason: number for reason, number in dropped.items() if number}, notes=notes)


def _instances_file(root: Path, year: str) -> Path:
    below, beside = root / "annotations" / f"instances_{year}.json", root / f"instances_{year}.json"
    return beside if beside.exists() and not below.exists() else below


def _image_folder(root: Path, year: str, notes: list[str]) -> Path:
    """Where the images are; COCO's files have the sizes, so preparing can do without the images."""
    places = [root / year, root / "images" / year, root.parent / year, root.parent / "images" / year]
    for place in places:
        if place.is_dir():
            return place
    notes.append(f"{places[0]}: no images there yet; COCO has them in {year}.zip, and training will need them")
    return places[0]


def image_slices(train: Split) -> dict[str, Split]:
    """G10 to G10000, train and val: that many of the train split's images with all their boxes."""
    images = np.array([image["id"] for image in train.images], np.int64)
    result = {}
    for name, part in sample_slices(images).items():
        inside = set(part.tolist())
        result[name] = restrict(train, [record for record in train.annotations if record["image_id"] in inside])
    return result


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
