"""The paper's subsets of COCOPersons, sampled as for the paper: the same generator, seed and order of samples.

Every step starts numpy's legacy generator anew from seed 0. Subsets are rows into a list of N boxes, so that nothing
here depends on what a box is.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    is_candidate = np.ones(len(rows), bool)
    is_candidate[np.cumsum(counts) - counts + stays] = False
    subsets = {"p100": _mask_of(rows, len(image_of_box))}
    candidates, always = rows[is_candidate], rows[~is_candidate]
    for percent in _KEPT_PERCENT:
        generator.shuffle(candidates)
        candidates = candidates[: max(0, math.ceil(percent / 100 * len(rows)) - len(images))]
        subsets[f"p{percent}"] = _mask_of(np.concatenate([always, candidates]), len(image_of_box))
    return dict(reversed(subsets.items()))


def sample_noise(image_of_box: npt.NDArray[np.int64]) -> dict[str, NoiseBoxes]:
    """What p120, p140, p160 and p180 each add to the subset before: a fifth of p100's boxes, in random images of it."""
    generator = np.random.RandomState(_SEED)
    images = shared_images(image_of_box)
    count = int(0.2 * np.isin(image_of_box, images).sum())
    added = {}
    for percent in _ADDED_PERCENT:
        receivers = generator.choice(images, count) if count else images[:0]
        added[f"p{percent}"] = NoiseBoxes(receivers, generator.choice(len(image_of_box), count))
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


def _mask_of(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.bool_]:
    marked = np.zeros(count, bool)
    marked[rows] = True
    return marked
