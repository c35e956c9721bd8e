"""The draws of COCOPersons equal the released procedure written down plainly, list by list."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from spnet.data.converters.coco_subsets import sample_fewer, sample_noise, sample_slices, shared_images


def random_boxes(seed: int, images: int = 40, boxes: int = 200) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, images, boxes) * 7 + 3


def plain_fewer(image_of_box: list[int]) -> dict[str, set[int]]:
    np.random.seed(0)  # noqa: NPY002 - the released draws use the legacy generator
    boxes_of: dict[int, list[int]] = {}
    for row, image in enumerate(image_of_box):
        boxes_of.setdefault(image, []).append(row)
    shared = {image: rows for image, rows in boxes_of.items() if len(rows) >= 2}
    stays, candidates = [], []
    for rows in shared.values():
        kept = np.random.randint(0, len(rows))  # noqa: NPY002
        stays.append(rows[kept])
        candidates += rows[:kept] + rows[kept + 1 :]
    total = len(stays) + len(candidates)
    subsets = {"p100": set(stays + candidates)}
    for fraction in (0.8, 0.6, 0.4, 0.2):
        np.random.shuffle(candidates)  # noqa: NPY002
        candidates = candidates[: max(0, math.ceil(fraction * total) - len(shared))]
        subsets[f"p{round(100 * fraction)}"] = set(stays + candidates)
    return subsets


@pytest.mark.parametrize("seed", range(20))
def test_fewer_boxes(seed: int) -> None:
    image_of_box = random_boxes(seed, images=30 + 10 * seed)
    expected = plain_fewer(image_of_box.tolist())
    drawn = sample_fewer(image_of_box)
    assert {name: set(np.flatnonzero(marked).tolist()) for name, marked in drawn.items()} == expected


def test_shared_images_come_in_the_order_of_their_first_box() -> None:
    assert shared_images(np.array([9, 4, 5, 4, 9, 9, 1])).tolist() == [9, 4]


def test_every_image_keeps_a_box_even_where_a_fifth_is_less_than_that() -> None:
    image_of_box = np.repeat(np.arange(10), 2)
    drawn = sample_fewer(image_of_box)
    assert drawn["p20"].sum() == drawn["p40"].sum() == 10
    assert len(np.unique(image_of_box[drawn["p20"]])) == 10


def test_wrong_boxes() -> None:
    image_of_box = random_boxes(3)
    images = list(dict.fromkeys(image for image in image_of_box.tolist() if (image_of_box == image).sum() >= 2))
    count = int(0.2 * np.isin(image_of_box, images).sum())
    np.random.seed(0)  # noqa: NPY002
    for percent in (120, 140, 160, 180):
        added = sample_noise(image_of_box)[f"p{percent}"]
        np.testing.assert_array_equal(added.images, np.random.choice(images, count))  # noqa: NPY002
        np.testing.assert_array_equal(added.boxes, np.random.choice(range(len(image_of_box)), count))  # noqa: NPY002


def test_slices_follow_each_other() -> None:
    images = np.arange(300) * 3
    drawn = sample_slices(images)
    assert [len(drawn[name]) for name in drawn] == [10, 10, 100, 100, 80, 0, 0, 0]
    np.random.seed(0)  # noqa: NPY002
    shuffled = images.tolist()
    np.random.shuffle(shuffled)  # noqa: NPY002
    assert np.concatenate(list(drawn.values())).tolist() == shuffled


def test_no_shared_image_gives_empty_subsets() -> None:
    assert not any(marked.any() for marked in sample_fewer(np.arange(5)).values())
    assert not any(len(added.images) for added in sample_noise(np.arange(5)).values())
