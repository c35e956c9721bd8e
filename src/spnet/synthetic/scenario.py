"""Who appears where: every scene gets its street, its people and a random generator of its own.

Everything follows from the seed and the scene's number, so a scene does not depend on how many others are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spnet.synthetic.identity import Identity, sample_identity
from spnet.synthetic.scene import RenderedScene, StaticScene, build_static_scene, render_scene

SIZE = (480, 360)  # width, height in pixels
ZOOM, PRETRAIN_ZOOM = (0.8, 1.0), (0.7, 1.5)  # ranges of focal lengths in image widths
CAMERAS = 6
_SCENES_PER_STREET = 12  # of the pre-training split
# what a generator is for: the second number of its key, after the seed
STREET, PRETRAIN_STREET, CASTING, PERSON, SCENE, QUERIES, OBJECT, OBJECT_STREET = range(8)
TRAIN, TEST, PRETRAIN = range(3)
UNKNOWN = -1  # who is cast as a passer-by, in Appearance.people


@dataclass(frozen=True)
class Appearance:
    """One rendered scene: the camera, and who each box of `rendered` is: the number of a known person or UNKNOWN."""

    camera: int
    rendered: RenderedScene
    people: list[int]


def fine_tuning_scenes(split: int, scenes: int, identities: int, seed: int) -> Iterator[Appearance]:
    """Scenes of `identities` known people, numbered from 0, among passers-by; `split` is TRAIN or TEST.

    A scene has 2 to 5 known people: those cast least often, so far and by this camera, come first.
    """
    random = np.random.default_rng([seed, CASTING, split])
    known = [sample_identity(np.random.default_rng([seed, PERSON, split, person])) for person in range(identities)]
    times = np.zeros((CAMERAS, identities))
    for scene in range(scenes):
        camera = scene % CAMERAS
        priority = times.sum(0) + 1.5 * times[camera] + 2.0 * random.random(identities)
        chosen = np.argsort(priority, kind="stable")[: random.integers(2, 6)]
        times[camera, chosen] += 1
        own = np.random.default_rng([seed, SCENE, split, scene])
        passers_by = [sample_identity(own) for _ in range(own.integers(1, 4))]
        rendered = render_scene(
            _static_scene(seed, STREET, camera, ZOOM), [known[person] for person in chosen] + passers_by, own
        )
        people = [int(chosen[row]) if row < len(chosen) else UNKNOWN for row in rendered.people]
        yield Appearance(camera, rendered, people)


def pretraining_scenes(scenes: int, seed: int) -> Iterator[Appearance]:
    """Scenes in other streets, a new one every _SCENES_PER_STREET scenes, of people who appear only once."""
    for scene in range(scenes):
        street = scene // _SCENES_PER_STREET
        own = np.random.default_rng([seed, SCENE, PRETRAIN, scene])
        people: list[Identity] = [sample_identity(own) for _ in range(own.integers(3, 9))]
        rendered = render_scene(_static_scene(seed, PRETRAIN_STREET, street, PRETRAIN_ZOOM), people, own)
        yield Appearance(CAMERAS + street, rendered, [UNKNOWN] * len(rendered.people))


@lru_cache(maxsize=CAMERAS)
def _static_scene(seed: int, purpose: int, number: int, zoom: tuple[float, float]) -> StaticScene:
    return build_static_scene(np.random.default_rng([seed, purpose, number]), SIZE, zoom)
