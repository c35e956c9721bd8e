"""Where people may stand: on the pavement or the road, in view, not in a wall, a car or each other."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spnet.synthetic.camera import Spot
from spnet.synthetic.cars import HALF_LENGTH, HALF_WIDTH, Car
from spnet.synthetic.street import Street

_AVERAGE_HEIGHT = 1.72  # meters
_SMALLEST, _TALLEST = 44.0, 205.0  # pixels a person of average height is tall
_TRIES = 40
_BESIDE_OTHERS = 0.3  # chance to walk with another person
_ON_THE_ROAD = 0.5  # chance to accept a place there
_APART = 0.18  # how far, in heights, the middles of two people are apart in the image


def place_people(street: Street, cars: Sequence[Car], count: int, random: np.random.Generator) -> list[Spot | None]:
    """Places for `count` people; None for those who find none."""
    spots: list[Spot | None] = []
    for _ in range(count):
        taken = [spot for spot in spots if spot is not None]
        tries = (_sample_spot(street, taken, random) for _ in range(_TRIES))
        spots.append(next((spot for spot in tries if _is_free(street, cars, taken, spot, random)), None))
    return spots


def in_view(street: Street, x: float, z: npt.ArrayLike, nearest: float) -> npt.NDArray[np.bool_]:
    """Which places on the ground, at x and each z (n,) in meters, can be seen, (n,).

    They are at least `nearest` meters away and at most a little outside the image.
    """
    points = np.stack(np.broadcast_arrays(x, 0.0, z), axis=-1)
    column, row, depth = np.moveaxis(street.camera.project(points), -1, 0)
    width, height = street.camera.size
    seen: npt.NDArray[np.bool_] = (
        (depth > nearest) & (-0.02 * width < column) & (column < 1.02 * width) & (row < 1.06 * height)
    )
    return seen


def _sample_spot(street: Street, taken: list[Spot], random: np.random.Generator) -> Spot:
    """Anywhere in view, near (tall) people as likely as far ones, or beside another person."""
    camera = street.camera
    if taken and random.random() < _BESIDE_OTHERS:
        x, z = taken[random.integers(len(taken))]
        return float(x + random.uniform(-1.1, 1.1)), float(z + random.uniform(-1.1, 1.1))
    tall = random.uniform(_SMALLEST, _TALLEST) if random.random() < 0.5 else _SMALLEST * 4.6 ** random.random()
    depth = _AVERAGE_HEIGHT * camera.focal / tall
    aside = random.uniform(-0.47, 0.47) * camera.size[0] / camera.focal * depth
    x = camera.x + aside * np.cos(camera.yaw) + depth * np.sin(camera.yaw)
    return float(x), float(depth * np.cos(camera.yaw) - aside * np.sin(camera.yaw))


def _is_free(street: Street, cars: Sequence[Car], taken: list[Spot], spot: Spot, random: np.random.Generator) -> bool:
    x, z = spot
    if abs(x) > street.wall - 0.35 or (abs(x) < street.road and random.random() > _ON_THE_ROAD):
        return False
    if not in_view(street, x, z, _AVERAGE_HEIGHT * street.camera.focal / _TALLEST):
        return False
    if any(abs(x - car.x) < HALF_WIDTH + 0.35 and abs(z - car.z) < HALF_LENGTH + 0.2 for car in cars):
        return False
    here, _, depth = street.camera.project_ground(spot)
    beside = map(street.camera.project_ground, taken)
    meter = street.camera.focal * _AVERAGE_HEIGHT * _APART
    return all(abs(here - column) > meter / min(far, depth) for column, _, far in beside)
