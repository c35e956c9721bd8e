"""Render one person: identity and pose become a sprite.

The parts are painted from far to near, so front, side and back views need no cases of their own.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic.bags import bag_parts
from spnet.synthetic.body import body_parts
from spnet.synthetic.canvas import Sprite
from spnet.synthetic.heads import head_parts
from spnet.synthetic.identity import Identity
from spnet.synthetic.person_canvas import HEIGHT, WIDTH, PersonCanvas
from spnet.synthetic.pose import Pose


def render_person(identity: Identity, pose: Pose, random: np.random.Generator) -> Sprite:
    """The sprite (HEIGHT, WIDTH) of a person, standing at FEET, SCALE pixels to a meter."""
    person = PersonCanvas(identity, pose)
    parts = [*body_parts(person), *bag_parts(person), *head_parts(person)]
    for _, paint in sorted(parts, key=lambda part: part[0]):
        paint()
    noise = fold_noise()
    row, column = random.integers(0, noise.shape[0] - HEIGHT), random.integers(0, noise.shape[1] - WIDTH)
    return person.canvas.finish(noise[row : row + HEIGHT, column : column + WIDTH])


@lru_cache(maxsize=1)
def fold_noise() -> npt.NDArray[np.float32]:
    """Soft folds (768, 512), a few gray levels, the same for everyone; a person shows a random window of it."""
    random = np.random.default_rng(7)
    coarse = random.normal(size=(768 // 10, 512 // 6)).astype(np.float32)
    return np.asarray(9 * cv2.resize(coarse, (512, 768), interpolation=cv2.INTER_CUBIC), np.float32)
