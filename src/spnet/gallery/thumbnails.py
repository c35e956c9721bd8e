"""Small JPEG images of people."""

import numpy as np
import numpy.typing as npt

from spnet.reports.images import encode_jpeg

LONGEST = 192  # pixels
MARGIN = 0.08  # of the box's size, on each side


def crop(pixels: npt.NDArray[np.uint8], box: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """The part of an image (H, W, 3) around a box (4,) in pixels xyxy; at least one pixel."""
    height, width, _ = pixels.shape
    around = np.tile((box[2:] - box[:2]) * MARGIN, 2) * [-1, -1, 1, 1]
    left, top, right, bottom = np.rint(box + around).astype(int).clip(0, [width, height] * 2).tolist()
    left, top = min(left, width - 1), min(top, height - 1)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def thumbnail(pixels: npt.NDArray[np.uint8], box: npt.NDArray[np.floating]) -> bytes:
    """The part of an image (H, W, 3) around a box (4,) in pixels xyxy, as JPEG."""
    return encode_jpeg(crop(pixels, box), LONGEST)
