"""Parked cars: a side profile extruded to a solid and seen through the camera."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spnet.synthetic.camera import Camera
from spnet.synthetic.canvas import Canvas, Points, Sprite, resize
from spnet.synthetic.identity import Color

# meters: (along the car, height) from the rear bumper over the roof to the front bumper
PROFILES = {
    "saloon": [(-2.1, 0.3), (-2.15, 0.62), (-2.05, 0.9), (-1.45, 0.96), (-0.95, 1.4), (0.3, 1.44), (1.0, 0.98),
               (1.95, 0.86), (2.15, 0.6), (2.1, 0.3)],
    "hatchback": [(-1.8, 0.3), (-1.85, 0.7), (-1.8, 1.0), (-1.45, 1.42), (-0.9, 1.5), (0.35, 1.48), (1.0, 1.02),
                  (1.7, 0.88), (1.88, 0.6), (1.85, 0.3)],
    "van": [(-2.3, 0.35), (-2.35, 0.9), (-2.3, 1.2), (-2.25, 1.9), (-2.0, 1.98), (1.1, 1.95), (1.75, 1.2),
            (2.25, 1.05), (2.4, 0.7), (2.35, 0.35)],
}  # fmt: skip
_GLASS_EDGES = {"saloon": (3, 5), "hatchback": (2, 5), "van": (5,)}
HALF_WIDTH, HALF_LENGTH = 0.85, 2.4
_PAINTS: tuple[Color, ...] = (
    (176, 178, 180), (60, 62, 66), (222, 222, 218), (150, 34, 38), (44, 66, 110), (92, 110, 98), (190, 164, 120),
    (24, 25, 28),
)  # fmt: skip
_GLASS: Color = (62, 74, 84)
_OVERSAMPLING = 2


@dataclass(frozen=True)
class Car:
    """One parked car: x and z in meters, `direction` +1 or -1 along z."""

    kind: str
    paint: Color
    x: float
    z: float
    direction: float

    def place(self, profile: npt.ArrayLike, x: float) -> Points:
        """Points (K, 2) of the profile's plane as world points (K, 3) at `x` across the street."""
        along, up = np.asarray(profile, float).T
        return np.stack([np.full(len(along), x), up, self.z + self.direction * along], 1)


class CarView:
    """A camera's window on one car, _OVERSAMPLING times as fine as its image."""

    def __init__(self, camera: Camera, points: Points) -> None:
        seen = camera.project(points)[..., :2]
        low, high = np.floor(seen.min((0, 1))) - 3, np.ceil(seen.max((0, 1))) + 6
        self.camera = camera
        self.low = np.maximum(low, -10)
        self.size = np.maximum(np.minimum(high, np.array(camera.size) + 10) - self.low, 0).astype(int)

    def flat(self, points: Points) -> Points:
        """World points (K, 3) in pixels of the window (K, 2)."""
        pixels: Points = (self.camera.project(points)[..., :2] - self.low) * _OVERSAMPLING
        return pixels


def sample_parked(random: np.random.Generator, x: float, z: float) -> Car:
    """Any car at a place."""
    kind = list(PROFILES)[int(random.choice(3, p=[0.45, 0.4, 0.15]))]
    return Car(kind, _PAINTS[random.integers(len(_PAINTS))], x, z, float(random.choice([-1.0, 1.0])))


def render_car(car: Car, camera: Camera) -> tuple[Sprite, int, int] | None:
    """The car's sprite and its left upper pixel in the camera's image; None if it is not in view."""
    outlines = np.stack([car.place(PROFILES[car.kind], car.x + side * HALF_WIDTH) for side in (-1, 1)])
    if camera.project(outlines)[..., 2].min() < 0.8:
        return None
    view = CarView(camera, outlines)
    if view.size.min() < 6:
        return None
    canvas = Canvas(*(view.size * _OVERSAMPLING))
    _body(canvas, view, car, outlines)
    if abs(camera.x - car.x) > HALF_WIDTH:
        _side(canvas, view, car)
    return resize(canvas.finish(), *view.size), int(view.low[0]), int(view.low[1])


def _body(canvas: Canvas, view: CarView, car: Car, outlines: Points) -> None:
    """The strips between the two outlines, far ones first: bumpers, hood, windows, roof."""
    strips = np.stack([outlines[0, :-1], outlines[0, 1:], outlines[1, 1:], outlines[1, :-1]], 1)
    distance = np.linalg.norm(strips.mean(1) - [view.camera.x, view.camera.height, 0], axis=1)
    for index in np.argsort(-distance):
        strip = strips[index]
        rise = abs(strip[0, 1] - strip[1, 1]) / np.linalg.norm(strip[0, 1:] - strip[1, 1:])
        canvas.shape(view.flat(strip), car.paint, round(146 - 40 * rise))
        if index in _GLASS_EDGES[car.kind]:
            canvas.shape(view.flat(_inset(strip, 0.09)), _GLASS, 140)
        if index in (0, len(strips) - 1):
            canvas.shape(view.flat(strip), (52, 52, 56), 112)
        if index in (1, len(strips) - 2):
            lamp: Color = (176, 34, 34) if index == 1 else (244, 240, 220)
            for start, end in ((0.05, 0.22), (0.78, 0.95)):
                corners = [
                    strip[a] + (strip[b] - strip[a]) * s
                    for a, b, s in ((0, 3, start), (1, 2, start), (1, 2, end), (0, 3, end))
                ]
                canvas.shape(view.flat(_inset(np.array(corners), 0.2)), lamp, 136)


def _side(canvas: Canvas, view: CarView, car: Car) -> None:
    """The flank that faces the camera: body, windows, wheels, door lines."""
    x = car.x + HALF_WIDTH * np.sign(view.camera.x - car.x)
    profile = np.array(PROFILES[car.kind])
    canvas.shape(view.flat(car.place(profile, x)), car.paint, 114)
    cabin = profile[(profile[:, 1] > 0.95)]
    middle = np.array([cabin[:, 0].mean(), max(0.98, cabin[:, 1].min() + 0.02)])
    window = middle + (cabin - middle) * [0.86, 0.82]
    canvas.shape(view.flat(car.place(window, x)), _GLASS, 124)
    for along in (-0.35, 0.25) if car.kind != "van" else (-1.6, -0.2, 0.9):
        canvas.line(view.flat(car.place([(along, 0.4), (along, profile[:, 1].max() - 0.1)], x)), (40, 42, 46), 1)
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    for share in (0.62, -0.62):
        hub = np.array([share * profile[:, 0].max(), 0.31])
        for radius, tone in ((0.37, 30), (0.31, 44), (0.19, 150), (0.07, 70)):
            canvas.shape(view.flat(car.place(hub + radius * circle, x)), (tone, tone, tone), 124)


def _inset(corners: Points, share: float) -> Points:
    inset: Points = corners + share * (corners.mean(0) - corners)
    return inset
