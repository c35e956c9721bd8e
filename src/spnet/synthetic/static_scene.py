"""A street ready for people: the camera's view of it, with what stands there always and the cars that may be parked."""

from dataclasses import dataclass

import numpy as np

from spnet.synthetic.cars import Car, render_car, sample_parked
from spnet.synthetic.furniture import FURNITURE_RENDERERS, FURNITURE_SCALE
from spnet.synthetic.layers import Layer, stand_up
from spnet.synthetic.placing import in_view
from spnet.synthetic.street import Street, build_street

_FURNITURE_SHARES = np.array([0.26, 0.16, 0.14, 0.12, 0.1, 0.1, 0.12])  # of FURNITURE_RENDERERS, in their order
_NEAREST_FURNITURE, _NEAREST_CAR = 3.5, 5.5  # meters
ParkedCar = tuple[Car, Layer]


@dataclass(frozen=True)
class StaticScene:
    """A street with what never moves (`fixed`) and its parking places, each with the car that is there at times."""

    street: Street
    fixed: list[Layer]
    cars: list[ParkedCar]


def build_static_scene(random: np.random.Generator, size: tuple[int, int], zoom: tuple[float, float]) -> StaticScene:
    """A street with furniture and parking places, and a camera: `size` (width, height) pixels, `zoom` in widths."""
    street = build_street(random, size, zoom)
    return StaticScene(street, _furnish(street, random), _park(street, random))


def _furnish(street: Street, random: np.random.Generator) -> list[Layer]:
    layers = []
    kinds, shares = list(FURNITURE_RENDERERS), _FURNITURE_SHARES / _FURNITURE_SHARES.sum()
    for z in np.arange(1.0, 27.0, 2.2):
        kind = str(random.choice(kinds, p=shares))
        x = random.choice([-1.0, 1.0]) * (street.road + random.uniform(0.4, 0.9))
        spot = (float(x), float(z + random.uniform(-1, 1)))
        if random.random() < 0.85 and in_view(street, spot, _NEAREST_FURNITURE):
            sprite = FURNITURE_RENDERERS[kind](random)
            height, width = sprite.alpha.shape
            layers.append(stand_up(sprite, FURNITURE_SCALE, (width / 2, height - 1), spot, street.camera))
    return layers


def _park(street: Street, random: np.random.Generator) -> list[ParkedCar]:
    parked = []
    for side in (-1.0, 1.0):
        for z in np.arange(4.5, 36, 5.6):
            car = sample_parked(random, float(side * (street.road - 1.1)), float(z + random.uniform(-0.3, 0.3)))
            depth = street.camera.project_ground((car.x, car.z))[2]
            rendered = render_car(car, street.camera)
            if rendered and depth > _NEAREST_CAR:
                parked.append((car, Layer(*rendered, depth, (car.x, car.z), upright=False)))
    return parked
