"""Sample the geometry of a view: which scale, which crop, whether flipped. No pixel is touched here.

Sources: supplementary section 8, "Image Augmentation"; docs/method.md, "Data".
"""

import numpy as np
import numpy.typing as npt

from spnet.config.schema import Augmentation
from spnet.data.augment.params import ViewParams

Size = tuple[int, int]  # width, height
_PADDING = {"rrc2": 3, "rrc_scale": 4, "rrc_window": 3}  # padded to at least so many crops
_EDGE = 0.1  # share of a box's width and height that a crop around all boxes may cut at each edge


def sample_view(
    augmentation: Augmentation,
    image: Size,
    boxes: npt.NDArray[np.float64],
    known: npt.NDArray[np.bool_],
    generator: np.random.Generator,
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
        crop = _around_one(box + _offset(padded, resized), side, padded, generator)
    else:
        padded = _pad(resized, least)
        crop = _around_all(boxes + _offset(padded, resized), padded, generator)
    return ViewParams(image, resized, padded, crop, square, bool(generator.random() < 0.5), augmentation.antialias)


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


def _offset(padded: Size, resized: Size) -> npt.NDArray[np.int64]:
    return np.tile((np.asarray(padded) - np.asarray(resized)) // 2, 2)


def _sample_box(
    boxes: npt.NDArray[np.float64], known: npt.NDArray[np.bool_], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Sample a box, of a known person if there is one, widened to whole pixels; (4,) int."""
    candidates = np.flatnonzero(known) if known.any() else np.arange(len(boxes))
    box = boxes[generator.choice(candidates)]
    return np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]).astype(int)


def _anywhere(side: int, padded: Size, generator: np.random.Generator) -> tuple[int, int, int, int]:
    x, y = generator.integers(0, np.asarray(padded) - side + 1).tolist()
    return x, y, x + side, y + side


def _around_one(
    box: npt.NDArray[np.int64], side: int, padded: Size, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """A square, uniform among those inside the padded image that hold the box."""
    room = np.asarray(padded)
    low = np.maximum(np.minimum(box[2:], room) - side, 0)
    high = np.minimum(np.maximum(box[:2], 0), room - side)
    x, y = generator.integers(low, high + 1).tolist()
    return x, y, x + side, y + side


def _around_all(
    boxes: npt.NDArray[np.float64], padded: Size, generator: np.random.Generator
) -> tuple[int, int, int, int]:
    """A rectangle holding the inner 80% of all boxes, each edge uniform between them and the padded border."""
    margin = _EDGE * (boxes[:, 2:] - boxes[:, :2])
    first = np.clip(np.floor((boxes[:, :2] + margin).min(axis=0)), 0, np.asarray(padded) - 1).astype(int)
    last = np.clip(np.ceil((boxes[:, 2:] - margin).max(axis=0)), first + 1, padded).astype(int)
    x1, y1 = generator.integers(0, first + 1).tolist()
    x2, y2 = generator.integers(last, np.asarray(padded) + 1).tolist()
    return x1, y1, x2, y2
