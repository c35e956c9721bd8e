"""Holds the one-resampling views against the steps of the paper, taken one after the other with the same numbers."""

import cv2
import numpy as np
import pytest

from spnet.data.augment import Augmentation, ViewPlan, draw_view, make_view, visible_boxes

PICTURE = (160, 120)
SEEDS = range(60)


def smooth_picture(width: int, height: int) -> np.ndarray:
    """A picture without fine detail: all ways of interpolating it agree, a shift or a wrong scale does not."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    channels = [110 + 90 * np.sin(x / 17 + k) * np.cos(y / 13 - k) + x * 0.2 for k in range(3)]
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def random_boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    size = generator.uniform((6, 10), (50, 90), (count, 2))
    corner = generator.uniform(0, 1, (count, 2)) * (np.asarray(PICTURE) - size)
    return np.concatenate([corner, corner + size], axis=1)


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shrinks = size[0] < pixels.shape[1] or size[1] < pixels.shape[0]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def step_by_step(pixels: np.ndarray, boxes: np.ndarray, plan: ViewPlan) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Resize; pad; crop; resize; flip, as the paper composes them: the view (H, W, 3), its boxes, which they are."""
    pixels = resize(pixels, plan.resized)
    factor = plan.resized[0] / plan.picture[0], plan.resized[1] / plan.picture[1]
    left, top = (plan.padded[0] - plan.resized[0]) // 2, (plan.padded[1] - plan.resized[1]) // 2
    right, bottom = plan.padded[0] - plan.resized[0] - left, plan.padded[1] - plan.resized[1] - top
    pixels = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    x1, y1, x2, y2 = plan.crop
    pixels = resize(np.ascontiguousarray(pixels[y1:y2, x1:x2]), plan.output)
    width, height = plan.output
    kept_boxes, kept = [], []
    for row, (bx1, by1, bx2, by2) in enumerate(boxes.tolist()):
        box = [bx1 * factor[0] + left, by1 * factor[1] + top, bx2 * factor[0] + left, by2 * factor[1] + top]
        full = (box[2] - box[0]) * (box[3] - box[1])
        box = [max(box[0], x1), max(box[1], y1), min(box[2], x2), min(box[3], y2)]
        if box[2] <= box[0] or box[3] <= box[1] or (box[2] - box[0]) * (box[3] - box[1]) < 0.4 * full:
            continue
        zoom = width / (x2 - x1), height / (y2 - y1)
        box = [(box[0] - x1) * zoom[0], (box[1] - y1) * zoom[1], (box[2] - x1) * zoom[0], (box[3] - y1) * zoom[1]]
        kept_boxes.append([width - box[2], box[1], width - box[0], box[3]] if plan.flipped else box)
        kept.append(row)
    return (pixels[:, ::-1] if plan.flipped else pixels), np.reshape(kept_boxes, (-1, 4)), kept


def border_of_picture(plan: ViewPlan) -> np.ndarray:
    """Pixels of the view within 2 pixels (of any step) of the picture's edge, where black is blended differently."""
    scale, shift = plan.affine()
    ends = np.sort([shift, shift + scale * plan.picture], axis=0)
    reach = 2 * np.maximum(1, np.maximum(np.abs(scale), np.asarray(plan.output) / (np.subtract(plan.crop[2:], plan.crop[:2]))))
    centres = [np.arange(length) + 0.5 for length in plan.output]
    near = [(np.abs(c[:, None] - ends[:, axis]) < reach[axis]).any(axis=1) for axis, c in enumerate(centres)]
    return near[1][:, None] | near[0][None]


def draw(name: str, seed: int, crop_size: int = 64) -> tuple[np.ndarray, ViewPlan]:
    generator = np.random.default_rng(seed)
    boxes = random_boxes(generator, int(generator.integers(0, 7)))
    augmentation = Augmentation(name, crop_size=crop_size, window=(150, 260))
    return boxes, draw_view(augmentation, PICTURE, boxes, generator.random(len(boxes)) < 0.5, generator)


@pytest.mark.parametrize("name", ["rrc2", "rrc_scale"])
@pytest.mark.parametrize("crop_size", [64, 200])
def test_boxes_and_pixels_are_those_of_the_steps(name: str, crop_size: int) -> None:
    pixels = smooth_picture(*PICTURE)
    compared = 0
    for seed in SEEDS:
        boxes, plan = draw(name, seed, crop_size)
        view, expected_boxes, expected_rows = step_by_step(pixels, boxes, plan)
        found_boxes, rows = visible_boxes(plan, boxes)
        np.testing.assert_array_equal(rows, expected_rows)
        np.testing.assert_allclose(found_boxes, expected_boxes, atol=1e-4)
        made = make_view(pixels, 1, plan).permute(1, 2, 0).numpy()
        difference = np.abs(made.astype(int) - view)[~border_of_picture(plan)]
        if difference.size:
            print(seed, plan, difference.max(), difference.mean())
            compared += (view[~border_of_picture(plan)] > 0).sum()
    assert 0
