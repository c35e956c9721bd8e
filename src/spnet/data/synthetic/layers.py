"""Puts sprites into a picture: over what lies behind, with their shadows, and counts what stays visible."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spnet.data.synthetic.camera import Camera, Picture
from spnet.data.synthetic.canvas import Sprite, resize

SHADOW = np.clip(np.arange(256)[:, None] * np.array([0.56, 0.6, 0.68]), 0, 255).astype(np.uint8)[None]


@dataclass(frozen=True)
class Layer:
    """A sprite at its size and place in a picture; `ground` is the world x and z it stands on."""

    sprite: Sprite
    left: int
    top: int
    depth: float
    ground: tuple[float, float]
    tall: float  # metres

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom pixel edges of what is drawn, not clipped to any picture."""
        left, top, width, height = cv2.boundingRect((self.sprite.alpha > 100).astype(np.uint8))
        return self.left + left, self.top + top, self.left + left + width, self.top + top + height


def stand_up(
    sprite: Sprite, scale: float, foot: tuple[float, float], ground: tuple[float, float], camera: Camera
) -> Layer:
    """A sprite of `scale` pixels per metre upright on the ground; `foot` is the sprite's pixel that touches it."""
    x, y, depth = camera.project(np.array([ground[0], 0.0, ground[1]]))
    zoom = camera.focal / depth / scale
    height, width = sprite.alpha.shape
    small = resize(sprite, max(1, round(width * zoom)), max(1, round(height * zoom)))
    left, top = round(float(x) - foot[0] * zoom), round(float(y) - foot[1] * zoom)
    return Layer(small, left, top, float(depth), ground, height / scale)


def blend(picture: Picture, layer: Layer, gloom: bool) -> None:
    """Lays the sprite over the picture, in the street's shade if `gloom`."""
    window, part = _overlap(picture.shape, layer)
    alpha = cv2.convertScaleAbs(layer.sprite.alpha[part])
    if alpha.size == 0:
        return
    colour = layer.sprite.colour[part]
    share = alpha.astype(np.float32) / 255
    picture[window] = cv2.blendLinear(
        cv2.LUT(colour, SHADOW) if gloom else colour.copy(), picture[window].copy(), share, 1 - share
    )


def own(owner: NDArray[Any], layer: Layer, number: int) -> None:
    """Writes `number` into `owner` (H, W) wherever the sprite covers."""
    window, part = _overlap(owner.shape, layer)
    owner[window][layer.sprite.alpha[part] > 127] = number


def cast(picture: Picture, layer: Layer, camera: Camera, sun: tuple[float, float]) -> None:
    """The sprite's shadow on the ground; `sun` is how far, in x and z, a metre of height throws it."""
    x, z = layer.ground
    points = np.array([[x, 0, z], [x + sun[0], 0, z + sun[1]], [x, 0, z] + camera.axes()[0] * 0.5])
    foot, head, aside = camera.project(points)[:, :2]
    metre = camera.focal / layer.depth
    height, width = layer.sprite.alpha.shape
    anchor = camera.project(points[:1])[0, :2] - [layer.left, layer.top]
    across, up = 2 * (aside - foot) / metre, (foot - head) / metre
    turn = np.stack([across, up], 1)
    corners = (np.array([[0, 0], [width, 0], [0, height], [width, height]]) - anchor) @ turn.T + foot
    low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, [picture.shape[1], picture.shape[0]])
    if (high - low).min() < 2:
        return
    matrix = np.concatenate([turn, (foot - low - turn @ anchor)[:, None]], 1)
    mask = cv2.blur(cv2.warpAffine(layer.sprite.alpha, matrix, tuple(int(side) for side in high - low)), (3, 3))
    _darken(picture[low[1] : high[1], low[0] : high[0]], mask, 1.0)


def ground_contact(picture: Picture, centre: tuple[float, float], radii: tuple[float, float]) -> None:
    """The soft dark spot under whatever stands on the ground; pixels."""
    low = np.maximum(np.floor(np.array(centre) - radii).astype(int), 0)
    high = np.minimum(np.ceil(np.array(centre) + radii).astype(int) + 1, [picture.shape[1], picture.shape[0]])
    if (high - low).min() < 1:
        return
    x = (np.arange(low[0], high[0]) - centre[0]) / radii[0]
    y = (np.arange(low[1], high[1]) - centre[1]) / radii[1]
    mask = 255 * np.clip(1 - x[None] ** 2 - y[:, None] ** 2, 0, 1)
    _darken(picture[low[1] : high[1], low[0] : high[0]], mask.astype(np.uint8), 0.85)


def _darken(window: Picture, mask: NDArray[Any], strength: float) -> None:
    share = mask.astype(np.float32) * (strength / 255)
    window[:] = cv2.blendLinear(cv2.LUT(window, SHADOW), window.copy(), share, 1 - share)


def _overlap(shape: tuple[int, ...], layer: Layer) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    height, width = layer.sprite.alpha.shape
    top, left = max(layer.top, 0), max(layer.left, 0)
    bottom, right = max(min(layer.top + height, shape[0]), top), max(min(layer.left + width, shape[1]), left)
    picture = (slice(top, bottom), slice(left, right))
    return picture, (slice(top - layer.top, bottom - layer.top), slice(left - layer.left, right - layer.left))
