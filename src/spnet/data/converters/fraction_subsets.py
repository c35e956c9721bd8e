"""The annotation-fraction study's subsets of a split of boxes, p20 to p180: also of synthetic streets."""

from collections.abc import Iterator, Mapping
from itertools import count

import numpy as np

from spnet.data.converters.coco_subsets import NoiseBoxes, sample_fewer, sample_noise
from spnet.data.schema import PersonRecord, Split, person_record

FIRST_NOISE_ID = 300000


def fraction_subsets(splits: Mapping[str, Split], name: str) -> dict[str, Split]:
    """p20 to p180 of the split `name`, in which every box is a person of its own (docs/method.md, "Data").

    A noise box gets a number that is free among annotations and persons of all `splits`.
    """
    split = splits[name]
    image_of_box = np.array([record["image_id"] for record in split.annotations], np.int64)
    result = {}
    for subset, wanted in sample_fewer(image_of_box).items():
        result[subset] = restrict(split, [split.annotations[row] for row in np.flatnonzero(wanted)])
    taken = {record[key] for other in splits.values() for record in other.annotations for key in ("id", "person_id")}
    free_ids = (identifier for identifier in count(FIRST_NOISE_ID) if identifier not in taken)
    so_far = list(result["p100"].annotations)
    for subset, added in sample_noise(image_of_box).items():
        so_far = so_far + _noise_records(split, added, free_ids)
        result[subset] = restrict(split, so_far)
    return result


def restrict(split: Split, annotations: list[PersonRecord]) -> Split:
    """The annotations and those images of the split that have one."""
    inside = {record["image_id"] for record in annotations}
    return Split([image for image in split.images if image["id"] in inside], annotations, split.image_root)


def _noise_records(split: Split, added: NoiseBoxes, free_ids: Iterator[int]) -> list[PersonRecord]:
    """Copy boxes to another image, scaled by the sizes of the two; each is a person of its own."""
    size_of = {image["id"]: (image["width"], image["height"]) for image in split.images}
    records = []
    for image, row in zip(added.images.tolist(), added.boxes.tolist(), strict=True):
        copied = split.annotations[row]
        x, y, width, height = copied["bbox"]
        old, new = size_of[copied["image_id"]], size_of[image]
        box = (x / old[0] * new[0], y / old[1] * new[1], width / old[0] * new[0], height / old[1] * new[1])
        identifier = next(free_ids)
        records.append(person_record(identifier, image, box, identifier, iou_threshold=copied["iou_thresh"]))
    return records
