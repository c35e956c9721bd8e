"""The paper's subsets of COCOPersons, p20 to p180 also of synthetic streets, sampled as for the paper.

The generator, the seed and the order of samples are the paper's: every step starts numpy's legacy generator anew from
seed 0. What is sampled are rows into a list of N boxes.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

from spnet.data.schema import PersonRecord, Split, person_record

FIRST_NOISE_ID = 300000
_KEPT_PERCENT = (80, 60, 40, 20)
_ADDED_PERCENT = (120, 140, 160, 180)
_SLICES = (10, 100, 1000, 10000)
_SEED = 0


@dataclass(frozen=True)
class NoiseBoxes:
    """M boxes placed where no person is."""

    images: npt.NDArray[np.int64]  # (M,) ids of the images that receive one
    boxes: npt.NDArray[np.int64]  # (M,) rows of the boxes that are copied there, of all N


def shared_images(image_of_box: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Ids of the images with two boxes or more, in the order in which images first appear among the N boxes."""
    images, first, counts = np.unique(image_of_box, return_index=True, return_counts=True)
    return images[np.argsort(first)][counts[np.argsort(first)] >= 2]


def sample_fewer(image_of_box: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
    """p20, p40, p60, p80 and p100 as bool (N,): each inside the next, at least one box in each image of p100.

    `image_of_box` (N,) are image ids. p100 is all boxes of the images with two or more.
    """
    generator = np.random.RandomState(_SEED)
    images = shared_images(image_of_box)
    order = np.argsort(image_of_box, kind="stable")
    starts = np.searchsorted(image_of_box, images, side="left", sorter=order)
    counts = np.searchsorted(image_of_box, images, side="right", sorter=order) - starts
    stays = np.array([generator.randint(0, count) for count in counts], np.int64)
    rows = np.concatenate(
        [order[:0], *(order[start : start + count] for start, count in zip(starts, counts, strict=True))]
    )
    everything, is_candidate = np.arange(len(image_of_box)), np.ones(len(rows), bool)
    is_candidate[np.cumsum(counts) - counts + stays] = False
    subsets = {"p100": np.isin(everything, rows)}
    candidates, always = rows[is_candidate], rows[~is_candidate]
    for percent in _KEPT_PERCENT:
        generator.shuffle(candidates)
        candidates = candidates[: max(0, math.ceil(percent / 100 * len(rows)) - len(images))]
        subsets[f"p{percent}"] = np.isin(everything, np.concatenate([always, candidates]))
    return dict(reversed(subsets.items()))


def sample_noise(image_of_box: npt.NDArray[np.int64]) -> dict[str, NoiseBoxes]:
    """What p120, p140, p160 and p180 each add to the subset before: a fifth of p100's boxes, in random images of it."""
    generator = np.random.RandomState(_SEED)
    images = shared_images(image_of_box)
    number = int(0.2 * np.isin(image_of_box, images).sum())
    added = {}
    for percent in _ADDED_PERCENT:
        receivers = generator.choice(images, number) if number else images[:0]
        added[f"p{percent}"] = NoiseBoxes(receivers, generator.choice(len(image_of_box), number))
    return added


def sample_slices(images: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    """G10_train, G10_val, G100_train ... G10000_val: that many of the shuffled image ids, slice after slice.

    What is beyond the last image is cut off: in a small set the large slices are short or empty.
    """
    shuffled = images.copy()
    np.random.RandomState(_SEED).shuffle(shuffled)
    slices, start = {}, 0
    for size in _SLICES:
        for part in ("train", "val"):
            slices[f"G{size}_{part}"] = shuffled[start : start + size]
            start += size
    return slices


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
