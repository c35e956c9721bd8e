"""Makes a view of a decoded image in one resampling of the part that is seen."""

import threading
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor, from_numpy

from spnet.data.augment.sample import Floats, Integers, Size, ViewParams

Pixels = npt.NDArray[np.uint8]
MARGIN = 2  # pixels kept around the part that is seen, for interpolation


class _Scratch(threading.local):
    """Memory that is used again: to touch fresh pages costs more than to resample into them."""

    def __init__(self) -> None:
        self.memory: dict[str, Pixels] = {}

    def image(self, name: str, width: int, height: int, channels: int) -> Pixels:
        """(height, width, channels) uint8 with arbitrary content, valid until `name` is asked for again."""
        length = width * height * channels
        if name not in self.memory or self.memory[name].size < length:
            self.memory[name] = np.empty(length, np.uint8)
        return self.memory[name][:length].reshape(height, width, channels)


_scratch = _Scratch()


def jpeg_scale_for(plans: Sequence[ViewParams]) -> int:
    """How much smaller (1, 2, 4 or 8 times) an image may be decoded to serve all these views."""
    if not all(plan.antialias for plan in plans):
        return 1
    shrink = min(float(np.min(1 / np.abs(plan.affine[0]))) for plan in plans)
    return max(factor for factor in (1, 2, 4, 8) if factor <= max(1, round(shrink)))


def warp(pixels: Pixels, reduction: int, plan: ViewParams) -> Tensor:
    """The view as (3, height, width) uint8, black where there is no image.

    `pixels` is (H, W, 3) uint8, decoded `reduction` times smaller than the file. Shrinking is antialiased: whole blocks
    of pixels are averaged until less than 1.5 pixels fall on one of the view, then follows bilinear interpolation.
    """
    width, height = plan.output
    scale, shift = plan.affine
    ends = np.sort([shift, shift + scale * plan.image], axis=0)
    # A pixel of the view belongs to the image if its center does.
    (x1, y1), (x2, y2) = np.clip(np.ceil(ends - 0.5), 0, plan.output).astype(int).tolist()
    covered = (x1, y1, x2, y2) == (0, 0, width, height)
    view = (np.empty if covered else np.zeros)((3, height, width), np.uint8)
    if x1 < x2 and y1 < y2:
        seen = _resample(pixels, scale * reduction, shift - (x1, y1), (x2 - x1, y2 - y1), plan.antialias)
        rest = [_scratch.image("alpha", x2 - x1, y2 - y1, 1)[..., 0]] * (seen.shape[2] - 3)
        cv2.split(seen, [*view[:, y1:y2, x1:x2], *rest])
    return from_numpy(view)


def _resample(pixels: Pixels, scale: Floats, shift: Floats, size: Size, antialias: bool) -> Pixels:
    """The pixels at view = scale · pixel + shift, in a view of `size` that lies within the image."""
    block = np.maximum(np.round(1 / np.abs(scale)), 1).astype(int) if antialias else np.ones(2, int)
    pixels, start = _part_seen(pixels, scale, shift, size, block)
    shift = shift + scale * start
    if (block > 1).any():
        pixels = _average(pixels, block)
        scale = scale * block
    width, height = pixels.shape[1::-1]
    if max(np.abs(shift).max(), np.abs(shift + scale * (width, height) - size).max()) < 1e-6:
        target = _scratch.image("view", *size, 3)
        cv2.resize(pixels, size, target, interpolation=cv2.INTER_LINEAR)
        return target
    # OpenCV counts from the center of the first pixel, and is twice as fast on four channels as on three.
    matrix = np.column_stack([np.diag(scale), shift + scale / 2 - 0.5])
    four = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA, _scratch.image("part", width, height, 4))
    target = _scratch.image("view", *size, 4)
    cv2.warpAffine(four, matrix, size, target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return target


def _part_seen(pixels: Pixels, scale: Floats, shift: Floats, size: Size, block: Integers) -> tuple[Pixels, Integers]:
    """Cuts out what the view needs, in whole blocks where the image has them; also where the cut starts (x, y)."""
    limits = np.asarray(pixels.shape[1::-1])
    ends = np.sort([-shift / scale, (size - shift) / scale], axis=0)
    start = np.clip(np.floor(ends[0]) - MARGIN * block, 0, np.maximum(limits - block, 0)).astype(int)
    stop = np.clip(np.ceil(ends[1]) + MARGIN * block, start + 1, limits).astype(int)
    stop = start + np.maximum((stop - start) // block, 1) * block
    return pixels[start[1] : stop[1], start[0] : stop[0]], start


def _average(pixels: Pixels, block: Integers) -> Pixels:
    """Means of blocks of pixels, `block` (x, y) of them each."""
    height, width = pixels.shape[:2]
    size = (max(1, width // int(block[0])), max(1, height // int(block[1])))
    target = _scratch.image("blocks", *size, 3)
    cv2.resize(pixels, size, target, interpolation=cv2.INTER_AREA)
    return target
