"""Small JPEG images of people."""

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

LONGEST = 192  # pixels
MARGIN = 0.08  # of the box's size, on each side
QUALITY = 85


def crop(pixels: npt.NDArray[np.uint8], box: npt.NDArray[np.floating], margin: float = MARGIN) -> npt.NDArray[np.uint8]:
    """The part of an image (H, W, 3) around a box (4,) in pixels xyxy; at least one pixel."""
    height, width, _ = pixels.shape
    around = np.tile((box[2:] - box[:2]) * margin, 2) * [-1, -1, 1, 1]
    left, top, right, bottom = np.rint(box + around).astype(int).clip(0, [width, height] * 2).tolist()
    left, top = min(left, width - 1), min(top, height - 1)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def encode(pixels: npt.NDArray[np.uint8], longest: int = LONGEST) -> bytes:
    """Pixels (H, W, 3) as JPEG, reduced where a side is longer than `longest` pixels."""
    height, width, _ = pixels.shape
    if (scale := longest / max(height, width)) < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=QUALITY, colorspace="RGB")
    return jpeg
