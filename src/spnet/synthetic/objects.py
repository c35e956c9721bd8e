"""Labeled images of single objects of the street, without persons: what a backbone learns to classify first.

They stand in for ImageNet where there is no download: whatever the paper starts from an ImageNet classifier starts at
small scale from a classifier of these.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from spnet.synthetic.bags import BAG_PARTS, bag_parts
from spnet.synthetic.camera import ImageArray, camera_response, sample_camera
from spnet.synthetic.canvas import Canvas, Sprite, resize
from spnet.synthetic.cars import PROFILES, render_car, sample_parked
from spnet.synthetic.fabric import PATTERNS, render_pattern
from spnet.synthetic.furniture import FURNITURE_RENDERERS
from spnet.synthetic.identity import Garment, sample_identity
from spnet.synthetic.layers import Layer, blend
from spnet.synthetic.person_canvas import PersonCanvas
from spnet.synthetic.pose import sample_pose
from spnet.synthetic.scenario import OBJECT, OBJECT_STREET, PRETRAIN_ZOOM, SIZE
from spnet.synthetic.street import Street, build_street

OBJECT_SIZE = 64  # width and height of an image in pixels
STREETS = 8
_MAX_SHARE, MIN_SHARE = 0.95, 0.45  # longer side of a thing, in sides of the image
_IN_LIGHT, _FLIPPED = 0.7, 0.5  # chances
_PLAIN = Garment("t-shirt", "plain", (0, 0, 0), (0, 0, 0))


def object_images(part: int, images: int, seed: int) -> Iterator[tuple[ImageArray, int]]:
    """Render images (OBJECT_SIZE, OBJECT_SIZE, 3) uint8 RGB of one object each, with its row in CLASSES, in turns.

    `part` is TRAIN or TEST of `scenario`: they share no street and no thing. An image depends on part, seed and its
    number, not on how many others are made. The streets are those of no data set.
    """
    streets = [
        build_street(np.random.default_rng([seed, OBJECT_STREET, part, street]), SIZE, PRETRAIN_ZOOM)
        for street in range(STREETS)
    ]
    for number in range(images):
        random = np.random.default_rng([seed, OBJECT, part, number])
        label = number % len(CLASSES)
        yield _compose(streets[random.integers(STREETS)], OBJECT_RENDERERS[CLASSES[label]](random), random), label


def _compose(street: Street, sprite: Sprite, random: np.random.Generator) -> ImageArray:
    """The sprite somewhere before a part of the street, in some light."""
    side = int(random.integers(OBJECT_SIZE, min(SIZE)))
    left, top = (int(random.integers(length - side)) for length in SIZE)
    background = street.backdrop[top : top + side, left : left + side]
    small_street = cv2.resize(background, (OBJECT_SIZE, OBJECT_SIZE), interpolation=cv2.INTER_AREA)
    image = np.asarray(small_street, np.uint8)
    height, width = sprite.alpha.shape
    zoom = random.uniform(MIN_SHARE, _MAX_SHARE) * OBJECT_SIZE / max(height, width)
    small = resize(sprite, max(1, round(width * zoom)), max(1, round(height * zoom)))
    left, top = (int(random.integers(OBJECT_SIZE - length + 1)) for length in small.alpha.shape[::-1])
    blend(image, Layer(small, left, top, 1.0, (0.0, 0.0)), bool(random.random() < _IN_LIGHT))
    if random.random() < _FLIPPED:
        image = np.ascontiguousarray(image[:, ::-1])
    camera = replace(street.camera, size=(OBJECT_SIZE, OBJECT_SIZE))
    return camera_response(camera, image, random.normal(0, 0.05), random.uniform(0.8, 1.25), random)


def _render_car(kind: str, random: np.random.Generator) -> Sprite:
    """A car seen from some camera; tried again until it is in view."""
    rendered = None
    while rendered is None:
        camera = sample_camera(random, SIZE, 6.0, PRETRAIN_ZOOM)
        car = sample_parked(random, float(random.uniform(-2, 2)), float(random.uniform(6, 14)))
        rendered = render_car(replace(car, kind=kind), camera)
    return rendered[0]


def _render_bag(kind: str, random: np.random.Generator) -> Sprite:
    """A bag as a person carries it, without the body."""
    identity = replace(sample_identity(random), bag=kind, upper=_PLAIN, lower=_PLAIN)
    person = PersonCanvas(identity, sample_pose(random, float(random.uniform(0, 2 * np.pi))))
    for _, paint in sorted(bag_parts(person), key=lambda part: part[0]):
        paint()
    sprite = person.canvas.finish()
    left, top, width, height = cv2.boundingRect(sprite.alpha)
    return Sprite(*(image[top : top + height, left : left + width] for image in (sprite.color, sprite.alpha)))


def _render_cloth(pattern: str, random: np.random.Generator) -> Sprite:
    """A piece of cloth hung up by two corners."""
    width, height = (int(length) for length in random.integers(50, 180, 2))
    corners = np.array([(0, 0), (0.5, 0.08), (1, 0), (1, 1), (0, 1)]) - random.uniform(0, 0.12, (5, 2)) * [1, -1]
    canvas = Canvas(width, height)
    cloth = render_pattern(replace(sample_identity(random).upper, pattern=pattern), width, height, 0, height)
    canvas.shape(corners * [width - 1, height - 1], cloth, int(random.integers(112, 140)))
    return canvas.finish()


OBJECT_RENDERERS: dict[str, Callable[[np.random.Generator], Sprite]] = {
    **FURNITURE_RENDERERS,
    **{kind: partial(_render_car, kind) for kind in PROFILES},
    **{kind: partial(_render_bag, kind) for kind in BAG_PARTS if kind != "none"},
    **{f"cloth with {pattern}": partial(_render_cloth, pattern) for pattern in PATTERNS},
}
CLASSES = tuple(OBJECT_RENDERERS)
