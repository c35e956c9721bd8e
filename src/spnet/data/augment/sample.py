"""Sample the geometry of a view: which scale, which crop, whether flipped. No pixel is touched here.

Sources: supplementary section 8, "Image Augmentation"; docs/method.md, "Data".
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spnet.config.schema import Augmentation, InferenceConfig

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Crop = tuple[int, int, int, int]  # x1, y1, x2, y2
Size = tuple[int, int]  # width, height
_MIN_VISIBLE_SHARE = 0.4  # of a box's area, which a crop must leave (docs/method.md, "Data")
_PADDING = {"rrc2": 3, "rrc_scale": 4, "rrc_window": 3}  # padded to at least so many crops
_EDGE = 0.1  # share of a box's width and height that a crop around all boxes may cut at each edge


@dataclass(frozen=True)
class ViewParams:
    """Resize, center-pad with black, crop, resize, flip; all in whole pixels."""

    image: Size  # the file
    resized: Size  # after the first scaling
    padded: Size  # `resized` lies in the middle of it
    crop: Crop  # within `padded`
    output: Size  # the view
    flipped: bool
    antialias: bool = True  # average pixels where the file is shrunk

    @property
    def is_cropped(self) -> bool:
        """Whether the view can lack a part of the image."""
        return self.crop != (0, 0, *self.padded)

    @cached_property
    def affine(self) -> tuple[Floats, Floats]:
        """(2,) scale and (2,) shift, x and y, of view = scale · file + shift, where pixel i covers i to i + 1."""
        corner, far = np.asarray(self.crop[:2], float), np.asarray(self.crop[2:], float)
        zoom = np.asarray(self.output) / (far - corner)
        scale = np.asarray(self.resized) / np.asarray(self.image) * zoom
        shift = (_offset(self.padded, self.resized) - corner) * zoom
        if self.flipped:
            scale[0], shift[0] = -scale[0], self.output[0] - shift[0]
        return scale, shift


def transform_boxes(plan: ViewParams, boxes: Floats) -> tuple[Floats, Integers]:
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


def sample_view(
    augmentation: Augmentation, image: Size, boxes: Floats, known: npt.NDArray[np.bool_], generator: np.random.Generator
) -> ViewParams:
    """Sample the parameters of one random view.

    `image` is the file's width and height; `boxes` (N, 4) float64, pixels xyxy of the file; `known` (N,) bool, boxes
    of known persons, which the crop around one box prefers.
    """
    if augmentation.name == "wrs":
        resized = resize_shape(image, augmentation.min_size, augmentation.max_size)
        return ViewParams(image, resized, resized, (0, 0, *resized), resized, False, augmentation.antialias)
    resized = _sample_size(augmentation, image, generator)
    boxes = boxes * np.tile(np.asarray(resized) / np.asarray(image), 2)
    least = _PADDING[augmentation.name] * augmentation.crop_size
    square = (augmentation.crop_size, augmentation.crop_size)
    if len(boxes) == 0:
        padded = _pad(resized, least)
        crop = _anywhere(augmentation.crop_size, padded, generator)
    elif generator.random() < 1 - augmentation.scene_crop_prob:
        box = _sample_box(boxes, known, generator)
        side = max(augmentation.crop_size, *(box[2:] - box[:2]).tolist())
        padded = _pad(resized, max(least, side))
        crop = _around_one(box + np.tile(_offset(padded, resized), 2), side, padded, generator)
    else:
        padded = _pad(resized, least)
        crop = _around_all(boxes + np.tile(_offset(padded, resized), 2), padded, generator)
    return ViewParams(image, resized, padded, crop, square, bool(generator.random() < 0.5), augmentation.antialias)


def whole_scene(inference: InferenceConfig) -> Augmentation:
    """The one view of a scene at test time: all of it, resized."""
    return Augmentation("wrs", min_size=inference.min_size, max_size=inference.max_size, antialias=inference.antialias)


def resize_shape(image: Size, min_size: int, max_size: int) -> Size:
    """Width and height after `wrs`: the shortest side as `min_size`, but the longest not above `max_size`."""
    return _scaled(image, min(min_size / min(image), max_size / max(image)))


def _sample_size(augmentation: Augmentation, image: Size, generator: np.random.Generator) -> Size:
    if augmentation.name != "rrc_scale":
        image = resize_shape(image, augmentation.min_size, augmentation.max_size)
    return image if augmentation.name == "rrc2" else _scaled(image, generator.uniform(*augmentation.scale_range))


def _scaled(image: Size, scale: float) -> Size:
    return max(1, round(image[0] * scale)), max(1, round(image[1] * scale))


def _pad(resized: Size, least: int) -> Size:
    return max(resized[0], least), max(resized[1], least)


def _offset(padded: Size, resized: Size) -> Integers:
    """(2,) black columns on the left and rows at the top that the padding adds."""
    added: Integers = np.asarray(padded) - np.asarray(resized)
    return added // 2


def _sample_box(boxes: Floats, known: npt.NDArray[np.bool_], generator: np.random.Generator) -> Integers:
    """Sample a box, of a known person if there is one, widened to whole pixels; (4,) int."""
    candidates = np.flatnonzero(known) if known.any() else np.arange(len(boxes))
    box = boxes[generator.choice(candidates)]
    return np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]).astype(int)


def _anywhere(side: int, padded: Size, generator: np.random.Generator) -> Crop:
    x, y = generator.integers(0, np.asarray(padded) - side + 1).tolist()
    return x, y, x + side, y + side


def _around_one(box: Integers, side: int, padded: Size, generator: np.random.Generator) -> Crop:
    """A square, uniform among those inside the padded image that hold the box."""
    room = np.asarray(padded)
    low = np.maximum(np.minimum(box[2:], room) - side, 0)
    high = np.minimum(np.maximum(box[:2], 0), room - side)
    x, y = generator.integers(low, high + 1).tolist()
    return x, y, x + side, y + side


def _around_all(boxes: Floats, padded: Size, generator: np.random.Generator) -> Crop:
    """A rectangle holding the inner 80% of all boxes, each edge uniform between them and the padded border."""
    margin = _EDGE * (boxes[:, 2:] - boxes[:, :2])
    first = np.clip(np.floor((boxes[:, :2] + margin).min(axis=0)), 0, np.asarray(padded) - 1).astype(int)
    last = np.clip(np.ceil((boxes[:, 2:] - margin).max(axis=0)), first + 1, padded).astype(int)
    x1, y1 = generator.integers(0, first + 1).tolist()
    x2, y2 = generator.integers(last, np.asarray(padded) + 1).tolist()
    return x1, y1, x2, y2
