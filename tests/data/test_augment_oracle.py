"""Holds the one-resampling views against the steps of the paper, taken one after the other with the same numbers."""

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from spnet.config.schema import Augmentation
from spnet.data.augment import ViewParams, sample_view, transform_boxes, warp

Name = Literal["rrc2", "rrc_scale", "rrc_window"]
IMAGE = (160, 120)
WINDOW = (150, 260)


def smooth_image(width: int, height: int) -> npt.NDArray[np.uint8]:
    """An image without fine detail: all ways of interpolating it agree, a shift or a wrong scale does not."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    channels = [110 + 90 * np.sin(x / 17 + k) * np.cos(y / 13 - k) + x * 0.2 for k in range(3)]
    pixels: npt.NDArray[np.uint8] = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    return pixels


def random_boxes(generator: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    size = generator.uniform((6, 10), (50, 90), (count, 2))
    corner = generator.uniform(0, 1, (count, 2)) * (np.asarray(IMAGE) - size)
    return np.concatenate([corner, corner + size], axis=1)


def draw(name: Name, seed: int, crop_size: int) -> tuple[npt.NDArray[np.float64], ViewParams]:
    generator = np.random.default_rng(seed)
    boxes = random_boxes(generator, int(generator.integers(0, 7)))
    augmentation = Augmentation(name, crop_size=crop_size, min_size=WINDOW[0], max_size=WINDOW[1])
    return boxes, sample_view(augmentation, IMAGE, boxes, generator.random(len(boxes)) < 0.5, generator)


def resize(pixels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """One axis after the other: means where it shrinks, bilinear where it grows (OpenCV mixes them up in one call)."""
    for step in ((size[0], pixels.shape[0]), size):
        shrinks = step[0] < pixels.shape[1] or step[1] < pixels.shape[0]
        resized = cv2.resize(pixels, step, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        pixels = np.asarray(resized, np.uint8)
    return pixels


def pixels_step_by_step(pixels: npt.NDArray[np.uint8], plan: ViewParams) -> npt.NDArray[np.uint8]:
    """Resize; pad; crop; resize; flip: (H, W, 3)."""
    pixels = resize(pixels, plan.resized)
    left, top = (plan.padded[0] - plan.resized[0]) // 2, (plan.padded[1] - plan.resized[1]) // 2
    right, bottom = plan.padded[0] - plan.resized[0] - left, plan.padded[1] - plan.resized[1] - top
    padded = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    x1, y1, x2, y2 = plan.crop
    pixels = resize(np.ascontiguousarray(padded[y1:y2, x1:x2], np.uint8), plan.output)
    return pixels[:, ::-1] if plan.flipped else pixels


def boxes_step_by_step(boxes: npt.NDArray[np.float64], plan: ViewParams) -> tuple[npt.NDArray[np.float64], list[int]]:
    """The same steps for each box, dropping what is less than 40% visible: boxes and which they are."""
    left, top = (plan.padded[0] - plan.resized[0]) // 2, (plan.padded[1] - plan.resized[1]) // 2
    x1, y1, x2, y2 = plan.crop
    moved, kept = [], []
    for row, box in enumerate(boxes.tolist()):
        box = [value * plan.resized[axis % 2] / plan.image[axis % 2] for axis, value in enumerate(box)]
        box = [box[0] + left, box[1] + top, box[2] + left, box[3] + top]
        full = (box[2] - box[0]) * (box[3] - box[1])
        box = [max(box[0], x1), max(box[1], y1), min(box[2], x2), min(box[3], y2)]
        if box[2] <= box[0] or box[3] <= box[1] or (box[2] - box[0]) * (box[3] - box[1]) < 0.4 * full:
            continue
        zoom_x, zoom_y = plan.output[0] / (x2 - x1), plan.output[1] / (y2 - y1)
        box = [(box[0] - x1) * zoom_x, (box[1] - y1) * zoom_y, (box[2] - x1) * zoom_x, (box[3] - y1) * zoom_y]
        moved.append([plan.output[0] - box[2], box[1], plan.output[0] - box[0], box[3]] if plan.flipped else box)
        kept.append(row)
    return np.reshape(moved, (-1, 4)), kept


def away_from_edges(plan: ViewParams) -> npt.NDArray[np.bool_]:
    """(H, W) bool: pixels more than 2 (of any step) from the image's edge, where the steps blend it with black."""
    scale, shift = plan.affine
    ends = np.sort([shift, shift + scale * plan.image], axis=0)
    zoom = np.asarray(plan.output) / np.subtract(plan.crop[2:], plan.crop[:2])
    reach = 2 * np.maximum(1, np.maximum(np.abs(scale), zoom))
    centres = [np.arange(length) + 0.5 for length in plan.output]
    far = [(np.abs(c[:, None] - ends[:, axis]) > reach[axis]).all(axis=1) for axis, c in enumerate(centres)]
    both: npt.NDArray[np.bool_] = far[1][:, None] & far[0][None]
    return both


@pytest.mark.parametrize("name", ["rrc2", "rrc_scale", "rrc_window"])
@pytest.mark.parametrize("crop_size", [64, 200])
def test_boxes_are_those_of_the_steps(name: Name, crop_size: int) -> None:
    dropped = 0
    for seed in range(300):
        boxes, plan = draw(name, seed, crop_size)
        expected, expected_rows = boxes_step_by_step(boxes, plan)
        found, rows = transform_boxes(plan, boxes)
        np.testing.assert_array_equal(rows, expected_rows)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        dropped += len(boxes) - len(rows)
    assert dropped > 50


@pytest.mark.parametrize("name", ["rrc2", "rrc_scale", "rrc_window"])
@pytest.mark.parametrize("crop_size", [64, 200])
def test_pixels_are_those_of_the_steps(name: Name, crop_size: int) -> None:
    pixels = smooth_image(*IMAGE)
    seen = 0.0
    for seed in range(80):
        _, plan = draw(name, seed, crop_size)
        expected = pixels_step_by_step(pixels, plan)
        view = warp(pixels, 1, plan).permute(1, 2, 0).numpy()
        compared = away_from_edges(plan)
        difference = np.abs(view.astype(int) - expected)[compared]
        assert difference.max(initial=0) <= 5  # half a pixel off would be about 14
        assert difference.sum() <= 0.5 * difference.size
        seen += (expected[compared] > 0).mean() if compared.any() else 0
    assert seen > 20


def test_fine_detail_survives_where_the_steps_keep_it() -> None:
    """A magnified crop that is not resized again: the steps too resample once, so even noise must agree."""
    pixels = np.random.default_rng(0).integers(60, 190, (IMAGE[1], IMAGE[0], 3), dtype=np.uint8)
    compared = 0
    for seed in range(80):
        _, plan = draw("rrc2", seed, 64)
        if plan.crop[2] - plan.crop[0] == plan.crop[3] - plan.crop[1] == 64:
            expected = pixels_step_by_step(pixels, plan)
            view = warp(pixels, 1, plan).permute(1, 2, 0).numpy()
            assert np.abs(view.astype(int) - expected).max() <= 3  # black and the image's edge included
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("window", [(150, 260), (120, 260), (50, 90), (30, 60)])
def test_wrs_is_one_resize(window: tuple[int, int]) -> None:
    pixels = smooth_image(*IMAGE)
    wrs = Augmentation("wrs", min_size=window[0], max_size=window[1])
    plan = sample_view(wrs, IMAGE, np.zeros((0, 4)), np.zeros(0, bool), np.random.default_rng(0))
    view = warp(pixels, 1, plan).permute(1, 2, 0).numpy()
    assert view.shape == (plan.resized[1], plan.resized[0], 3)
    assert np.abs(view.astype(int) - resize(pixels, plan.resized)).max() <= 3


@pytest.mark.parametrize("reduction", [2, 4])
def test_a_reduced_image_gives_the_same_view(reduction: int) -> None:
    pixels = smooth_image(*IMAGE)
    size = (IMAGE[0] // reduction, IMAGE[1] // reduction)
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    boxes = np.array([[30.0, 20, 120, 110]])
    for seed in range(20):
        generator = np.random.default_rng(seed)
        plan = sample_view(Augmentation("rrc_scale", crop_size=24), IMAGE, boxes, np.ones(1, bool), generator)
        full, reduced = warp(pixels, 1, plan).int(), warp(small, reduction, plan).int()
        far = away_from_edges(plan)
        assert (full - reduced).abs().numpy()[:, far].max(initial=0) <= (3 if reduction == 2 else 8)


def test_shrinking_is_antialiased() -> None:
    """Stripes finer than the view's pixels must come out gray, not as other stripes."""
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    stripes[1::2] = 255 - stripes[1::2]
    for shrink in (2, 3, 4, 5.3, 8):
        size = (round(320 / shrink), round(240 / shrink))
        plan = ViewParams((320, 240), (320, 240), (320, 240), (0, 0, 320, 240), size, True)
        view = warp(stripes, 1, plan)[:, 2:-2, 2:-2].float()
        assert (view - 127.5).abs().max() < 20, shrink
