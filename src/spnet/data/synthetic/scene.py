"""One picture of a street: who stands where, what hides them, and the boxes to annotate."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spnet.data.synthetic.camera import Picture, develop
from spnet.data.synthetic.cars import HALF_LENGTH, HALF_WIDTH, Car, draw_car, draw_parked
from spnet.data.synthetic.figure import FEET, SCALE, draw_figure
from spnet.data.synthetic.furniture import SCALE as FURNITURE_SCALE
from spnet.data.synthetic.furniture import draw_furniture
from spnet.data.synthetic.identity import Identity
from spnet.data.synthetic.layers import SHADOW, Layer, blend, cast, ground_contact, own, stand_up
from spnet.data.synthetic.pose import draw_pose
from spnet.data.synthetic.street import Street, build_street

MIN_VISIBLE = 0.3
SMALLEST, TALLEST = 44.0, 205.0  # pixels of a person of average height
PLACING_TRIES = 40
FURNITURE_SHARES = {"tree": 0.3, "lamp": 0.2, "bin": 0.16, "bench": 0.12, "sign": 0.12, "planter": 0.1}


@dataclass(frozen=True)
class Stage:
    """A street with what never moves (`fixed`) and the cars that may be parked there."""

    street: Street
    fixed: list[Layer]
    cars: list[tuple[Car, Layer]]


@dataclass(frozen=True)
class Drawn:
    """A picture (H, W, 3) uint8 RGB with the boxes (N, 4) xyxy of the people (N,) who can be seen in it."""

    picture: Picture
    people: NDArray[np.int64]  # (N,) rows into the people asked for
    boxes: NDArray[np.int64]  # (N, 4) pixels xyxy, clipped to the picture
    visible: NDArray[np.float64]  # (N,) share of the whole figure that can be seen


def build_stage(random: np.random.Generator, size: tuple[int, int]) -> Stage:
    """A street with a camera, its furniture and its parking places."""
    street = build_street(random, size)
    fixed = []
    for z in np.arange(3.0, 26.0, 2.6):
        kind = str(random.choice(list(FURNITURE_SHARES), p=list(FURNITURE_SHARES.values())))
        side = random.choice([-1.0, 1.0])
        spot = (float(side * (street.road + random.uniform(0.4, 0.9))), float(z + random.uniform(-1, 1)))
        if random.random() < 0.75 and _in_view(street, spot, 2.6):
            sprite = draw_furniture(kind, random)
            height, width = sprite.alpha.shape
            fixed.append(stand_up(sprite, FURNITURE_SCALE, (width / 2, height - 1), spot, street.camera))
    cars = []
    for side in (-1.0, 1.0):
        for z in np.arange(4.5, 34, 5.6):
            car = draw_parked(random, float(side * (street.road - 1.1)), float(z + random.uniform(-0.3, 0.3)))
            drawn = draw_car(car, street.camera)
            if drawn:
                depth = float(street.camera.project(np.array([car.x, 0.0, car.z]))[2])
                cars.append((car, Layer(*drawn, depth, (car.x, car.z), 1.4)))
    return Stage(street, fixed, cars)


def draw_scene(stage: Stage, people: list[Identity], random: np.random.Generator) -> Drawn:
    """A picture of `people` at random places of the street. Who finds no place or is hidden is left out of it."""
    street = stage.street
    parked = [entry for entry in stage.cars if random.random() < 0.4]
    spots = place_people(street, [car for car, _ in parked], len(people), random)
    figures = {row: _figure(street, people[row], spot, random) for row, spot in enumerate(spots) if spot is not None}
    obstacles = stage.fixed + [layer for _, layer in parked]
    visible = _visible_shares(street, figures, obstacles)
    shown = [row for row in figures if visible[row] >= MIN_VISIBLE]
    layers = sorted([figures[row] for row in shown] + obstacles, key=lambda layer: -layer.depth)
    picture = _paint(street, layers, [car for car, _ in parked], random)
    width, height = street.camera.size
    boxes = [np.clip(figures[row].box(), 0, [width, height, width, height]) for row in shown]
    return Drawn(
        picture,
        np.array(shown, np.int64),
        np.array(boxes, np.int64).reshape(-1, 4),
        np.array([visible[row] for row in shown]),
    )


def place_people(
    street: Street, cars: list[Car], count: int, random: np.random.Generator
) -> list[tuple[float, float] | None]:
    """Ground places (x, z) for `count` people such that nobody stands in a wall, a car or another person."""
    spots: list[tuple[float, float] | None] = []
    for _ in range(count):
        taken = [spot for spot in spots if spot is not None]
        tries = (_draw_spot(street, taken, random) for _ in range(PLACING_TRIES))
        spots.append(next((spot for spot in tries if _is_free(street, cars, taken, spot, random)), None))
    return spots


def _draw_spot(street: Street, taken: list[tuple[float, float]], random: np.random.Generator) -> tuple[float, float]:
    """A place in view, as often near as far in the picture; a third of the people walk beside somebody."""
    camera = street.camera
    if taken and random.random() < 0.33:
        x, z = taken[random.integers(len(taken))]
        return x + random.uniform(-0.9, 0.9), z + random.uniform(-0.9, 0.9)
    depth = 1.72 * camera.focal / np.exp(random.uniform(np.log(SMALLEST), np.log(TALLEST)))
    aside = random.uniform(-0.47, 0.47) * camera.size[0] / camera.focal * depth
    x = camera.x + aside * np.cos(camera.yaw) + depth * np.sin(camera.yaw)
    return float(x), float(depth * np.cos(camera.yaw) - aside * np.sin(camera.yaw))


def _is_free(
    street: Street,
    cars: list[Car],
    taken: list[tuple[float, float]],
    spot: tuple[float, float],
    random: np.random.Generator,
) -> bool:
    x, z = spot
    if abs(x) > street.wall - 0.35 or (abs(x) < street.road and random.random() > 0.35):
        return False
    if not _in_view(street, spot, 1.72 * street.camera.focal / TALLEST):
        return False
    if any(abs(x - car.x) < HALF_WIDTH + 0.35 and abs(z - car.z) < HALF_LENGTH + 0.2 for car in cars):
        return False
    if any(np.hypot(x - other[0], z - other[1]) < 0.5 for other in taken):
        return False
    # nobody right behind or before another: in the picture their middles keep some distance
    here, depth = _column(street, spot)
    beside = [(column, far) for column, far in (_column(street, other) for other in taken)]
    return all(abs(here - column) > 0.17 * street.camera.focal * 1.72 / min(far, depth) for column, far in beside)


def _column(street: Street, spot: tuple[float, float]) -> tuple[float, float]:
    x, _, depth = street.camera.project(np.array([spot[0], 0.0, spot[1]]))
    return float(x), float(depth)


def _in_view(street: Street, spot: tuple[float, float], nearest: float) -> bool:
    """Whether the spot is before the camera and the feet are at most a little below the picture."""
    x, y, depth = street.camera.project(np.array([spot[0], 0.0, spot[1]]))
    width, height = street.camera.size
    return bool(depth > nearest and -0.02 * width < x < 1.02 * width and y < 1.06 * height)


def _figure(street: Street, person: Identity, spot: tuple[float, float], random: np.random.Generator) -> Layer:
    camera = street.camera
    bearing = np.arctan2(spot[0] - camera.x, spot[1])
    along = random.choice([0.0, np.pi]) + random.normal(0, 0.25)
    heading = along if random.random() < 0.65 else random.uniform(0, 2 * np.pi)
    sprite = draw_figure(person, draw_pose(random, float(bearing + np.pi - heading)), random)
    return stand_up(sprite, SCALE, (float(FEET[0]), float(FEET[1])), spot, camera)


def _visible_shares(street: Street, figures: dict[int, Layer], obstacles: list[Layer]) -> dict[int, float]:
    """The share of each figure that is neither hidden nor outside the picture."""
    width, height = street.camera.size
    owner = np.full((height, width), 255, np.uint8)
    numbered = [(254, layer) for layer in obstacles] + list(figures.items())
    for number, layer in sorted(numbered, key=lambda pair: -pair[1].depth):
        own(owner, layer, number)
    counts = np.bincount(owner.ravel(), minlength=256)
    whole = {row: max(1, int((layer.sprite.alpha > 127).sum())) for row, layer in figures.items()}
    return {row: float(counts[row] / whole[row]) for row in figures}


def _paint(street: Street, layers: list[Layer], cars: list[Car], random: np.random.Generator) -> Picture:
    """Backdrop, shade of the houses, shadows, layers from far to near, and then the camera's own faults."""
    camera = street.camera
    picture = street.backdrop.copy()
    sunny = random.random() < 0.6
    side = random.choice([-1.0, 1.0])
    edge = float(side * random.uniform(-0.2, 0.9) * street.wall) if sunny else np.inf
    sun = (float(-side * random.uniform(0.3, 1.2)), float(random.uniform(-0.5, 0.9)))
    shade = (street.across * side > edge * side) & (street.across > -1e5) if sunny else None
    if shade is not None:
        cv2.copyTo(cv2.LUT(picture, SHADOW), shade.astype(np.uint8), picture)
    for car in cars:
        _car_shadow(picture, street, car)
    gloomy = [bool(sunny and layer.ground[0] * side > edge * side) for layer in layers]
    for layer, gloom in zip(layers, gloomy, strict=True):
        if sunny and not gloom and layer.tall != 1.4:
            cast(picture, layer, camera, sun)
        x, y, depth = camera.project(np.array([layer.ground[0], 0.0, layer.ground[1]]))
        if layer.tall != 1.4:
            ground_contact(picture, (float(x), float(y)), (0.32 * camera.focal / depth, 0.1 * camera.focal / depth))
    for layer, gloom in zip(layers, gloomy, strict=True):
        blend(picture, layer, gloom)
    warmth, brightness = random.normal(0, 0.035), random.uniform(0.82, 1.12)
    return develop(camera, picture, float(warmth), float(brightness), random)


def _car_shadow(picture: Picture, street: Street, car: Car) -> None:
    corners = [
        (car.x + a * (HALF_WIDTH + 0.12), 0.0, car.z + b * (HALF_LENGTH - 0.3))
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    seen = street.camera.project(np.array(corners))
    if seen[:, 2].min() < 0.8:
        return
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(seen[:, :2]).astype(np.int32)], 1)
    cv2.copyTo(cv2.LUT(picture, SHADOW), mask, picture)
