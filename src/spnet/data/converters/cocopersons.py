"""COCOPersons: the persons of COCO 2017, each a person of its own, and the subsets that the paper trains on."""

from collections import Counter
from pathlib import Path

import numpy as np

from spnet.data.converters.builder import DatasetBuilder
from spnet.data.converters.coco_reader import add_persons
from spnet.data.converters.coco_subsets import fraction_subsets, restrict, sample_slices
from spnet.data.converters.find_release import find_root
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.schema import Split

_EXPECTED_FILES = [
    f"{folder}instances_{year}.json" for folder in ("annotations/", "") for year in ("train2017", "val2017")
]


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
