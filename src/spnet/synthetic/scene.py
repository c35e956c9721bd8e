"""Images of a street: what stands there always, who stands where, what hides them, and the boxes to annotate."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spnet.synthetic.camera import Camera, ImageArray, Spot, camera_response
from spnet.synthetic.cars import Car, render_car, sample_parked
from spnet.synthetic.furniture import FURNITURE_RENDERERS, FURNITURE_SCALE
from spnet.synthetic.identity import Identity
from spnet.synthetic.layers import Layer, blend, own, stand_up
from spnet.synthetic.light import Light, sample_light, shade_houses, shade_under
from spnet.synthetic.person import render_person
from spnet.synthetic.person_canvas import FEET, SCALE
from spnet.synthetic.placing import in_view, place_people
from spnet.synthetic.pose import Pose, sample_pose
from spnet.synthetic.street import Street, build_street

_FURNITURE_SHARES = np.array([0.26, 0.16, 0.14, 0.12, 0.1, 0.1, 0.12])  # of FURNITURE_RENDERERS, in their order
_NEAREST_FURNITURE, _NEAREST_CAR = 3.5, 5.5  # meters
ParkedCar = tuple[Car, Layer]
MIN_VISIBLE_SHARE = 0.3  # share of a person: one hidden more is not in the image at all
PARKING_SHARE = 0.4
_ALONG_THE_STREET = 0.65  # share of people who walk along it; the others walk anywhere
_NOBODY = 255  # in a map of whom a pixel shows


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
        if random.random() < 0.85 and in_view(street, *spot, _NEAREST_FURNITURE):
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


@dataclass(frozen=True)
class RenderedScene:
    """An image (H, W, 3) uint8 RGB and the people who can be seen in it."""

    image: ImageArray
    people: npt.NDArray[np.int64]  # (N,) rows into the people asked for
    boxes: npt.NDArray[np.int64]  # (N, 4) pixels xyxy around the whole person, hidden parts too, clipped to the image
    visible: npt.NDArray[np.float64]  # (N,) share of the whole person that can be seen


def render_scene(static_scene: StaticScene, people: Sequence[Identity], random: np.random.Generator) -> RenderedScene:
    """An image of `people` (fewer than 250) at random places. Who finds no place or would be hidden is left out."""
    street, camera = static_scene.street, static_scene.street.camera
    parked = [entry for entry in static_scene.cars if random.random() < PARKING_SHARE]
    spots = place_people(street, [car for car, _ in parked], len(people), random)
    layers = {row: _walker(camera, people[row], spot, random) for row, spot in enumerate(spots) if spot is not None}
    obstacles = [*static_scene.fixed, *(layer for _, layer in parked)]
    visible = visible_shares(camera.size, layers, obstacles)
    shown = [row for row in layers if visible[row] >= MIN_VISIBLE_SHARE]
    light = sample_light(street, random)
    image = paint(static_scene, light, [*obstacles, *(layers[row] for row in shown)])
    boxes = [layers[row].box(camera.size) for row in shown]
    return RenderedScene(
        camera_response(camera, image, light.warmth, light.brightness, random),
        np.array(shown, np.int64),
        np.array(boxes, np.int64).reshape(-1, 4),
        np.array([visible[row] for row in shown]),
    )


def visible_shares(size: tuple[int, int], layers: dict[int, Layer], obstacles: Sequence[Layer]) -> dict[int, float]:
    """The share of each person that nothing nearer hides and that is inside an image of `size` (width, height)."""
    owner = np.full(size[::-1], _NOBODY, np.uint8)
    numbered = [*((_NOBODY, layer) for layer in obstacles), *layers.items()]
    for number, layer in sorted(numbered, key=lambda pair: -pair[1].depth):
        own(owner, layer, number)
    counts = np.bincount(owner.ravel(), minlength=_NOBODY + 1)
    return {row: float(counts[row] / max(1, layer.area())) for row, layer in layers.items()}


def _walker(camera: Camera, person: Identity, spot: Spot, random: np.random.Generator) -> Layer:
    """The person walking at `spot`, mostly along the street."""
    along = random.choice([0.0, np.pi]) + random.normal(0, 0.25)
    heading = along if random.random() < _ALONG_THE_STREET else random.uniform(0, 2 * np.pi)
    return stand_person(camera, person, spot, heading, sample_pose(random), random)


def stand_person(
    camera: Camera, person: Identity, spot: Spot, heading: float, pose: Pose, random: np.random.Generator
) -> Layer:
    """The person in `pose` at `spot`, headed away from the camera (0 radians) or turned, as the camera sees it."""
    bearing = np.arctan2(spot[0] - camera.x, spot[1])
    pose = replace(pose, facing=float(bearing + np.pi - heading))
    return stand_up(render_person(person, pose, random), SCALE, FEET, spot, camera)


def paint(static_scene: StaticScene, light: Light, layers: Sequence[Layer]) -> ImageArray:
    """Backdrop, the shade of the houses, shadows on the ground, then everything from far to near."""
    street = static_scene.street
    image = street.backdrop.copy()
    shade_houses(image, street, light)
    for layer in layers:
        shade_under(image, street, light, layer)
    for layer in sorted(layers, key=lambda layer: -layer.depth):
        blend(image, layer, light.reaches(layer.ground[0]))
    return image
