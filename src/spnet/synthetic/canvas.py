"""A canvas for sprites: color, coverage and light are painted together, so that every shape gets a
shaded side and a soft contact shadow instead of a flat fill."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic.identity import Color

_SUBPIXEL_BITS = 4
_NEUTRAL = 128  # light that leaves a color as it is
Points = npt.NDArray[np.float64]  # (..., 2) pixels, (..., 3) meters or statures
Paint = Color | npt.NDArray[np.uint8]  # one color, or an image as large as the canvas to cut the shape from

_ARC = np.linspace(0.5 * np.pi, 1.5 * np.pi, 7)


@dataclass(frozen=True)
class Sprite:
    """An image with coverage: color (H, W, 3) RGB, alpha (H, W)."""

    color: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8]


class Canvas:
    """Shapes in pixels, y down; later shapes lie on top."""

    def __init__(self, width: int, height: int) -> None:
        self.color = np.zeros((height, width, 3), np.uint8)
        self.alpha = np.zeros((height, width), np.uint8)
        self.light = np.full((height, width), _NEUTRAL, np.uint8)

    def shape(self, points: npt.ArrayLike, paint: Paint, light: int = _NEUTRAL, rim: float = 0.0) -> None:
        """A filled polygon (K, 2). `rim` pixels around it are darkened: its contact shadow on what lies below."""
        corners = _fixed_point(points)
        if rim:
            cv2.polylines(self.light, [corners], True, 84, max(1, round(2 * rim)), cv2.LINE_8, _SUBPIXEL_BITS)
        if isinstance(paint, tuple):
            cv2.fillPoly(self.color, [corners], paint, cv2.LINE_8, _SUBPIXEL_BITS)
        else:
            self._cut(corners, paint)
        cv2.fillPoly(self.alpha, [corners], 255, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.fillPoly(self.light, [corners], light, cv2.LINE_8, _SUBPIXEL_BITS)

    def limb(
        self, start: npt.ArrayLike, end: npt.ArrayLike, radii: tuple[float, float], paint: Paint, shade: int = 0
    ) -> None:
        """A tapered capsule from `start` to `end`, lit from the upper left; `shade` darkens all of it."""
        self.shape(capsule(start, end, radii), paint, _NEUTRAL - 20 - shade, rim=1.5)
        lit = np.array([-0.3, -0.12]) * np.mean(radii)
        thin = (0.55 * radii[0], 0.55 * radii[1])
        self.highlight(capsule(np.asarray(start) + lit, np.asarray(end) + lit, thin), _NEUTRAL + 10 - shade)

    def highlight(self, points: npt.ArrayLike, light: int) -> None:
        """Light on a polygon without changing its color."""
        cv2.fillPoly(self.light, [_fixed_point(points)], light, cv2.LINE_8, _SUBPIXEL_BITS)

    def disc(self, center: npt.ArrayLike, radii: tuple[float, float], paint: Paint, light: int = _NEUTRAL) -> None:
        """A filled ellipse with half axes `radii`."""
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.shape(np.asarray(center) + np.stack([np.cos(angles), np.sin(angles)], 1) * radii, paint, light)

    def line(self, points: npt.ArrayLike, color: Color, thickness: int = 1) -> None:
        """A line on what is already painted."""
        cv2.polylines(self.color, [_fixed_point(points)], False, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def stroke(self, points: npt.ArrayLike, color: Color, thickness: int) -> None:
        """A line that is a thing of its own, like a bicycle's tube."""
        self.line(points, color, thickness)
        cv2.polylines(self.alpha, [_fixed_point(points)], False, 255, thickness, cv2.LINE_8, _SUBPIXEL_BITS)

    def finish(self, folds: npt.NDArray[np.float32] | None = None) -> Sprite:
        """Light times color; `folds` (H, W) is added to the light first."""
        light = cv2.GaussianBlur(self.light, (7, 7), 0)
        if folds is not None:
            light = cv2.add(light, folds, dtype=cv2.CV_8U)
        color = cv2.multiply(self.color, cv2.merge([light, light, light]), scale=1 / _NEUTRAL)
        return Sprite(np.asarray(color, np.uint8), self.alpha)

    def _cut(self, corners: npt.NDArray[np.int32], paint: npt.NDArray[np.uint8]) -> None:
        left, top, width, height = cv2.boundingRect(corners >> _SUBPIXEL_BITS)
        window = np.s_[max(top, 0) : max(top + height + 1, 0), max(left, 0) : max(left + width + 1, 0)]
        mask = np.zeros_like(self.alpha[window])
        offset = (-max(left, 0), -max(top, 0))
        moved = corners + np.array(offset, np.int32) * (1 << _SUBPIXEL_BITS)
        cv2.fillPoly(mask, [moved], 255, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.copyTo(paint[window], mask, self.color[window])


def shift(point: npt.ArrayLike, right: float, down: float) -> Points:
    """A point (2,) moved by some pixels."""
    moved: Points = np.asarray(point, float) + np.array([right, down])
    return moved


def capsule(start: npt.ArrayLike, end: npt.ArrayLike, radii: tuple[float, float]) -> Points:
    """The outline (K, 2) of two circles and what lies between them."""
    first, last = np.asarray(start, float), np.asarray(end, float)
    along = last - first
    turn = np.arctan2(along[1], along[0])
    back = np.stack([np.cos(_ARC + turn), np.sin(_ARC + turn)], 1)
    return np.concatenate([first + radii[0] * back, last - radii[1] * back])


def _fixed_point(points: npt.ArrayLike) -> npt.NDArray[np.int32]:
    scaled: Points = np.asarray(points, float) * (1 << _SUBPIXEL_BITS)
    return np.rint(scaled).astype(np.int32)


def resize(sprite: Sprite, width: int, height: int) -> Sprite:
    """The sprite at another size; colors are weighted by coverage so that edges do not turn dark."""
    soft = cv2.copyTo(sprite.color, sprite.alpha)
    small = cv2.resize(soft, (width, height), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(sprite.alpha, (width, height), interpolation=cv2.INTER_AREA)
    full = cv2.divide(small, cv2.merge([alpha, alpha, alpha]), scale=255)
    return Sprite(np.asarray(full, np.uint8), np.asarray(alpha, np.uint8))
