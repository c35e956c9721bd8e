"""The cloth a garment is cut from: an image as large as a person's canvas, fixed to the body's axis."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic.canvas import Paint
from spnet.synthetic.identity import Garment

Mask = npt.NDArray[np.floating]  # float32


def render_pattern(garment: Garment, width: int, height: int, top: int, bottom: int) -> Paint:
    """What to paint `garment` with: its color, or for a pattern an image (height, width, 3) uint8.

    `top` and `bottom` are the rows the garment reaches from and to; patterns repeat about a middle column.
    """
    if garment.pattern not in PATTERNS:
        return garment.color
    across = np.abs(np.arange(width, dtype=np.float32) - (width - 1) / 2)[None, :]
    down = ((np.arange(height, dtype=np.float32) - top) / max(1, bottom - top))[:, None]
    share = np.broadcast_to(PATTERNS[garment.pattern](across, down * (bottom - top), down), (height, width))[..., None]
    first, second = np.array(garment.color, np.float32), np.array(garment.second, np.float32)
    return np.asarray(cv2.convertScaleAbs(first + (second - first) * share), np.uint8)


def _dots(across: Mask, rows: Mask) -> Mask:
    column_offset = (across + 7 * (np.floor(rows / 14) % 2)) % 14 - 7
    is_dot: npt.NDArray[np.bool_] = (column_offset**2 + (rows % 14 - 7) ** 2) < 12
    return is_dot.astype(np.float32)


def _square(position: Mask, period: float, share: float) -> Mask:
    return ((position % period) < share * period).astype(np.float32)


# the share of the second color by pixels from the middle, pixels below the garment's top, and share of its length
PATTERNS: dict[str, Callable[[Mask, Mask, Mask], Mask]] = {
    "stripes": lambda across, rows, down: _square(rows, 16, 0.45),
    "bars": lambda across, rows, down: _square(across + 4, 15, 0.4),
    "checks": lambda across, rows, down: 0.5 * _square(across + 4, 16, 0.5) + 0.5 * _square(rows, 16, 0.5),
    "dots": lambda across, rows, down: _dots(across, rows),
    "gradient": lambda across, rows, down: np.clip(down, 0, 1),
    "blocks": lambda across, rows, down: (down > 0.45).astype(np.float32),
}
