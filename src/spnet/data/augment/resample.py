"""Makes a view of a decoded picture in one resampling of the part that is seen."""

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor, from_numpy

from spnet.data.augment.plan import ViewPlan

MARGIN = 2  # pixels kept around the part that is seen, for interpolation


def reduction_for(plans: Sequence[ViewPlan]) -> int:
    """How much smaller (1, 2, 4 or 8 times) a picture may be decoded to serve all these views."""
    shrink = min(float(np.min(1 / np.abs(plan.affine()[0]))) for plan in plans)
    return max(factor for factor in (1, 2, 4, 8) if factor <= max(1, round(shrink)))


def make_view(pixels: np.ndarray, reduction: int, plan: ViewPlan) -> Tensor:
    """The view as (3, height, width) uint8, black where there is no picture.

    `pixels` is (H, W, 3) uint8, decoded `reduction` times smaller than the file. Shrinking is antialiased: whole blocks
    of pixels are averaged until less than 1.5 pixels fall on one of the view, then follows bilinear interpolation.
    """
    width, height = plan.output
    view = np.zeros((3, height, width), np.uint8)
    scale, shift = plan.affine()
    ends = np.sort([shift, shift + scale * plan.picture], axis=0)
    # A pixel of the view belongs to the picture if its centre does.
    (x1, y1), (x2, y2) = np.clip(np.ceil(ends - 0.5), 0, plan.output).astype(int).tolist()
    if x1 < x2 and y1 < y2:
        scale = scale * reduction
        shift = shift - (x1, y1)
        seen = _resample(pixels, scale, shift, (x2 - x1, y2 - y1))
        view[:, y1:y2, x1:x2] = cv2.split(seen)[:3]
    return from_numpy(view)


def _resample(pixels: np.ndarray, scale: np.ndarray, shift: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels at view = scale · pixel + shift, in a view of `size` that lies within the picture."""
    block = np.maximum(np.round(1 / np.abs(scale)), 1).astype(int)
    pixels, start = _part_seen(pixels, scale, shift, size, block)
    shift = shift + scale * start
    if (block > 1).any():
        pixels = _average(pixels, block)
        scale = scale * block
    if np.allclose([shift, shift + scale * pixels.shape[1::-1]], [(0, 0), size]):
        return cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
    # OpenCV counts from the centre of the first pixel, and is twice as fast on four channels as on three.
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    matrix[:, 2] += scale / 2 - 0.5
    return cv2.warpAffine(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA), matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _part_seen(
    pixels: np.ndarray, scale: np.ndarray, shift: np.ndarray, size: tuple[int, int], block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts out what the view needs, in whole blocks where the picture has them; also where the cut starts (x, y)."""
    limits = np.asarray(pixels.shape[1::-1])
    ends = np.sort([-shift / scale, (size - shift) / scale], axis=0)
    start = np.clip(np.floor(ends[0]) - MARGIN * block, 0, np.maximum(limits - block, 0)).astype(int)
    stop = np.clip(np.ceil(ends[1]) + MARGIN * block, start + 1, limits).astype(int)
    stop = start + np.maximum((stop - start) // block, 1) * block
    return pixels[start[1] : stop[1], start[0] : stop[0]], start


def _average(pixels: np.ndarray, block: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    size = (max(1, width // int(block[0])), max(1, height // int(block[1])))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
