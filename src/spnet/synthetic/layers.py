"""Sprites at their place in an image: laid over what is behind them, and over the map of whom a pixel shows."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic.camera import Camera, ImageArray, Spot
from spnet.synthetic.canvas import Sprite, resize

# what shade makes of a gray level, for red, green and blue: it is bluish
SHADED = np.rint(np.arange(256)[:, None] * np.array([0.58, 0.62, 0.69])).astype(np.uint8)[None]
_COVERED = 100  # alpha from which a pixel belongs to a sprite


@dataclass(frozen=True)
class Layer:
    """A sprite at its size in the image, whose `left`, `top` are in pixels; it stands on `ground`."""

    sprite: Sprite
    left: int
    top: int
    depth: float  # meters from the camera
    ground: Spot
    upright: bool = True  # stands on one point of the ground, like a person; a car does not

    def box(self, size: tuple[int, int]) -> list[int]:
        """Left, top, right and bottom edge of the visible sprite in an image of `size` (width, height)."""
        left, top, width, height = cv2.boundingRect((self.sprite.alpha > _COVERED).astype(np.uint8))
        corners = np.array([(left, top), (left + width, top + height)]) + np.array([self.left, self.top])
        box: list[int] = corners.clip(0, size).ravel().tolist()
        return box

    def area(self) -> int:
        """Pixels that the sprite covers, inside or outside the image."""
        return int((self.sprite.alpha > _COVERED).sum())


def stand_up(sprite: Sprite, scale: float, foot: tuple[float, float], ground: Spot, camera: Camera) -> Layer:
    """A sprite of `scale` pixels per meter upright on the ground; `foot` is the sprite's pixel that touches it."""
    x, y, depth = camera.project_ground(ground)
    zoom = camera.focal / depth / scale
    height, width = sprite.alpha.shape
    small = resize(sprite, max(1, round(width * zoom)), max(1, round(height * zoom)))
    return Layer(small, round(x - foot[0] * zoom), round(y - foot[1] * zoom), depth, ground)


def blend(image: ImageArray, layer: Layer, in_light: bool) -> None:
    """Lays the sprite over the image, darkened if it is not `in_light`."""
    window, part = _overlap(image.shape, layer)
    if image[window].size:
        share = layer.sprite.alpha[part].astype(np.float32) / 255
        color = layer.sprite.color[part].copy()
        color = color if in_light else np.asarray(cv2.LUT(color, SHADED), np.uint8)
        image[window] = cv2.blendLinear(color, image[window].copy(), share, 1 - share)


def own(owner: npt.NDArray[np.uint8], layer: Layer, number: int) -> None:
    """Writes `number` into `owner` (H, W) wherever the sprite covers it."""
    window, part = _overlap(owner.shape, layer)
    owner[window][layer.sprite.alpha[part] > _COVERED] = number


def _overlap(shape: tuple[int, ...], layer: Layer) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of an image under the sprite, and the part of the sprite inside the image."""
    height, width = layer.sprite.alpha.shape
    top, left = max(layer.top, 0), max(layer.left, 0)
    bottom, right = max(min(layer.top + height, shape[0]), top), max(min(layer.left + width, shape[1]), left)
    here = (slice(top, bottom), slice(left, right))
    return here, (slice(top - layer.top, bottom - layer.top), slice(left - layer.left, right - layer.left))
