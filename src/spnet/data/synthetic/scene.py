"""One picture of a street: who stands where, what hides them, and the boxes to annotate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spnet.data.synthetic.camera import Camera, Picture, develop
from spnet.data.synthetic.figure import FEET, SCALE
from spnet.data.synthetic.identity import Identity
from spnet.data.synthetic.layers import Layer, blend, own, stand_up
from spnet.data.synthetic.light import Light, draw_light, shade_houses, shade_under
from spnet.data.synthetic.person import draw_person
from spnet.data.synthetic.placing import Spot, place_people
from spnet.data.synthetic.pose import draw_pose
from spnet.data.synthetic.stage import Stage

LEAST_VISIBLE = 0.3  # share of a figure: who is hidden more is not in the picture at all
PARKING_SHARE = 0.4
ALONG_THE_STREET = 0.65  # share of people who walk along it; the others walk anywhere
NOBODY = 255  # in a map of whom a pixel shows


@dataclass(frozen=True)
class Drawn:
    """A picture (H, W, 3) uint8 RGB and the people who can be seen in it."""

    picture: Picture
    people: NDArray[np.int64]  # (N,) rows into the people asked for
    boxes: NDArray[np.int64]  # (N, 4) pixels xyxy around the whole figure, hidden parts too, clipped to the picture
    visible: NDArray[np.float64]  # (N,) share of the whole figure that can be seen


def draw_scene(stage: Stage, people: Sequence[Identity], random: np.random.Generator) -> Drawn:
    """A picture of `people` (fewer than 250) at random places. Who finds no place or would be hidden is left out."""
    street, camera = stage.street, stage.street.camera
    parked = [entry for entry in stage.cars if random.random() < PARKING_SHARE]
    spots = place_people(street, [car for car, _ in parked], len(people), random)
    figures = {row: _stand(camera, people[row], spot, random) for row, spot in enumerate(spots) if spot is not None}
    obstacles = [*stage.fixed, *(layer for _, layer in parked)]
    visible = visible_shares(camera.size, figures, obstacles)
    shown = [row for row in figures if visible[row] >= LEAST_VISIBLE]
    light = draw_light(street, random)
    picture = _paint(stage, light, [*obstacles, *(figures[row] for row in shown)])
    boxes = np.array([figures[row].box() for row in shown], np.int64).reshape(-1, 4)
    return Drawn(
        develop(camera, picture, light.warmth, light.brightness, random),
        np.array(shown, np.int64),
        boxes.clip(0, np.tile(camera.size, 2)),
        np.array([visible[row] for row in shown]),
    )


def visible_shares(size: tuple[int, int], figures: dict[int, Layer], obstacles: Sequence[Layer]) -> dict[int, float]:
    """The share of each figure that nothing nearer hides and that is inside a picture of `size` (width, height)."""
    owner: NDArray[Any] = np.full(size[::-1], NOBODY, np.uint8)
    numbered = [*((NOBODY, layer) for layer in obstacles), *figures.items()]
    for number, layer in sorted(numbered, key=lambda pair: -pair[1].depth):
        own(owner, layer, number)
    counts = np.bincount(owner.ravel(), minlength=NOBODY + 1)
    return {row: float(counts[row] / max(1, layer.area())) for row, layer in figures.items()}


def _stand(camera: Camera, person: Identity, spot: Spot, random: np.random.Generator) -> Layer:
    """The person walking at `spot`, seen from the camera's side."""
    along = random.choice([0.0, np.pi]) + random.normal(0, 0.25)
    heading = along if random.random() < ALONG_THE_STREET else random.uniform(0, 2 * np.pi)
    bearing = np.arctan2(spot[0] - camera.x, spot[1])
    sprite = draw_person(person, draw_pose(random, float(bearing + np.pi - heading)), random)
    return stand_up(sprite, SCALE, (float(FEET[0]), float(FEET[1])), spot, camera)


def _paint(stage: Stage, light: Light, layers: Sequence[Layer]) -> Picture:
    """Backdrop, the shade of the houses, shadows on the ground, then everything from far to near."""
    street = stage.street
    picture = street.backdrop.copy()
    shade_houses(picture, street, light)
    for layer in layers:
        shade_under(picture, street, light, layer)
    for layer in sorted(layers, key=lambda layer: -layer.depth):
        blend(picture, layer, light.reaches(layer.ground[0]))
    return picture
