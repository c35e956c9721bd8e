"""Light: sun or cloud, the shade of the houses, and the shadows of whatever stands on the ground."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic.camera import Camera, ImageArray
from spnet.synthetic.canvas import Points
from spnet.synthetic.cars import HALF_LENGTH, HALF_WIDTH
from spnet.synthetic.layers import SHADED, Layer
from spnet.synthetic.street import MISSED, Street

_SUNNY = 0.6  # chance


@dataclass(frozen=True)
class Light:
    """How a street is lit: `shade_side` (+1 or -1) of x beyond `shade_edge` meters lies in the shade of the houses."""

    sunny: bool
    shade_side: float
    shade_edge: float
    sun: tuple[float, float]  # how far a meter of height throws its shadow, in x and z
    warmth: float
    brightness: float

    def reaches(self, x: float) -> bool:
        """Whether what stands at x is not in the shade of the houses."""
        return not self.sunny or x * self.shade_side <= self.shade_edge


def sample_light(street: Street, random: np.random.Generator) -> Light:
    """A time of day and a weather."""
    side = float(random.choice([-1.0, 1.0]))
    return Light(
        sunny=bool(random.random() < _SUNNY),
        shade_side=side,
        shade_edge=float(random.uniform(-0.2, 1.1) * street.wall),
        sun=(float(-side * random.uniform(0.3, 1.2)), float(random.uniform(-0.5, 0.9))),
        warmth=float(random.normal(0, 0.035)),
        brightness=float(random.uniform(0.9, 1.22)),
    )


def shade_houses(image: ImageArray, street: Street, light: Light) -> None:
    """Darkens the ground and the house fronts that the sun does not reach."""
    if light.sunny:
        shade = (street.across * light.shade_side > light.shade_edge) & (street.across > -MISSED / 2)
        cv2.copyTo(cv2.LUT(image, SHADED), shade.astype(np.uint8), image)


def shade_under(image: ImageArray, street: Street, light: Light, layer: Layer) -> None:
    """The dark ground under a car, or at the foot of an upright thing and, in the sun, its shadow."""
    camera = street.camera
    if not layer.upright:
        _shade_car(image, camera, layer.ground)
        return
    if light.sunny and light.reaches(layer.ground[0]):
        _cast(image, layer, camera, light.sun)
    x, y, depth = camera.project_ground(layer.ground)
    meter = camera.focal / depth
    _shade_spot(image, (x, y), (0.32 * meter, 0.1 * meter))


def _cast(image: ImageArray, layer: Layer, camera: Camera, sun: tuple[float, float]) -> None:
    """The silhouette laid on the ground: the sprite's axes become the directions of the shadow in the image."""
    foot_on_ground = np.array([layer.ground[0], 0.0, layer.ground[1]])
    points = foot_on_ground + np.stack([np.zeros(3), [sun[0], 0, sun[1]], 0.5 * camera.axes[0]])
    foot, head, aside = camera.project(points)[:, :2]
    meter = camera.focal / layer.depth
    turn = np.stack([2 * (aside - foot) / meter, (foot - head) / meter], 1)
    anchor = foot - [layer.left, layer.top]
    height, width = layer.sprite.alpha.shape
    corners = (np.array([[0, 0], [width, 0], [0, height], [width, height]]) - anchor) @ turn.T + foot
    window, low = _window(image, corners, 0, 0)
    if min(window.shape[:2]) < 2:
        return
    matrix = np.concatenate([turn, (foot - low - turn @ anchor)[:, None]], 1)
    mask = cv2.warpAffine(layer.sprite.alpha, matrix, window.shape[1::-1])
    _darken(window, np.asarray(cv2.blur(mask, (3, 3)), np.uint8), 1.0)


def _shade_spot(image: ImageArray, center: tuple[float, float], radii: tuple[float, float]) -> None:
    """A soft dark ellipse; pixels."""
    window, low = _window(image, np.array(center) + np.array([[-1], [1]]) * radii, 0, 1)
    if not window.size:
        return
    x = (np.arange(window.shape[1]) + low[0] - center[0]) / radii[0]
    y = (np.arange(window.shape[0]) + low[1] - center[1]) / radii[1]
    mask = 255 * np.clip(1 - x[None] ** 2 - y[:, None] ** 2, 0, 1)
    _darken(window, mask.astype(np.uint8), 0.85)


def _shade_car(image: ImageArray, camera: Camera, ground: tuple[float, float]) -> None:
    half = np.array([HALF_WIDTH + 0.12, 0.0, HALF_LENGTH - 0.3])
    signs = np.array([(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)])
    seen = camera.project(np.array([ground[0], 0.0, ground[1]]) + signs * half)[:, :2]
    window, low = _window(image, seen, 3, 4)
    mask = np.zeros(window.shape[:2], np.uint8)
    if min(mask.shape) < 2:
        return
    cv2.fillPoly(mask, [np.rint(seen - low).astype(np.int32)], 255)
    _darken(window, np.asarray(cv2.blur(mask, (5, 5)), np.uint8), 1.0)


def _window(image: ImageArray, points: Points, before: int, after: int) -> tuple[ImageArray, npt.NDArray[np.int64]]:
    """The part of the image around points (K, 2), perhaps empty, with some pixels more; its left upper pixel."""
    low = np.maximum(np.floor(points.min(0)).astype(int) - before, 0)
    high = np.maximum(np.minimum(np.ceil(points.max(0)).astype(int) + after, image.shape[1::-1]), low)
    return image[low[1] : high[1], low[0] : high[0]], low


def _darken(window: ImageArray, mask: npt.NDArray[np.uint8], strength: float) -> None:
    share = mask.astype(np.float32) * (strength / 255)
    window[:] = cv2.blendLinear(cv2.LUT(window, SHADED), window.copy(), share, 1 - share)
