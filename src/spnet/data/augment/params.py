"""The sampled geometry of one view, as the steps of the paper and as the one affine map they amount to."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

_MIN_VISIBLE_SHARE = 0.4  # of a box's area, which a crop must leave (docs/method.md, "Data")


@dataclass(frozen=True)
class ViewParams:
    """Resize, center-pad with black, crop, resize, flip. Sizes are (width, height), all in whole pixels."""

    image: tuple[int, int]  # the file
    resized: tuple[int, int]  # after the first scaling
    padded: tuple[int, int]  # `resized` lies in the middle of it
    crop: tuple[int, int, int, int]  # x1, y1, x2, y2 within `padded`
    output: tuple[int, int]  # the view
    flipped: bool
    antialias: bool = True  # average pixels where the file is shrunk

    @property
    def offset(self) -> tuple[int, int]:
        """Black columns on the left and rows at the top that the padding adds."""
        return (self.padded[0] - self.resized[0]) // 2, (self.padded[1] - self.resized[1]) // 2

    @property
    def is_cropped(self) -> bool:
        """Whether the view can lack a part of the image."""
        return self.crop != (0, 0, *self.padded)

    @cached_property
    def affine(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(2,) scale and (2,) shift, x and y, of view = scale · file + shift, where pixel i covers i to i + 1."""
        corner, far = np.asarray(self.crop[:2], float), np.asarray(self.crop[2:], float)
        zoom = np.asarray(self.output) / (far - corner)
        scale = np.asarray(self.resized) / np.asarray(self.image) * zoom
        shift = (np.asarray(self.offset) - corner) * zoom
        if self.flipped:
            scale[0], shift[0] = -scale[0], self.output[0] - shift[0]
        return scale, shift


def transform_boxes(
    plan: ViewParams, boxes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Where boxes of the file lie in the view.

    `boxes` is (N, 4) float64, pixels xyxy of the file. Returns (K, 4) float64 boxes in pixels of the view and the (K,)
    rows of `boxes` they are. After a crop, boxes are clipped to the view and those of which less than 40% is left are
    dropped; without a crop all of them stay as annotated (docs/method.md, "Data").
    """
    scale, shift = plan.affine
    corners = np.sort(boxes.reshape(-1, 2, 2) * scale + shift, axis=1)  # a flip exchanges left and right
    if not plan.is_cropped:
        return corners.reshape(-1, 4), np.arange(len(boxes))
    clipped = np.clip(corners, 0, plan.output)
    visible, full = (np.prod(c[:, 1] - c[:, 0], axis=1) for c in (clipped, corners))
    kept = np.flatnonzero((visible >= _MIN_VISIBLE_SHARE * full) & (visible > 0))
    return clipped[kept].reshape(-1, 4), kept
