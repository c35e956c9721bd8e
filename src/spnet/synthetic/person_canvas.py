"""What all parts of a rendered person share: the canvas, its scale, and where on it a point of the body lies.

Lengths of the body are given in statures (1 is the person's height), so that the same numbers fit every person.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from spnet.synthetic.canvas import Canvas, Paint, Points
from spnet.synthetic.fabric import render_pattern
from spnet.synthetic.identity import Identity
from spnet.synthetic.pose import Pose, stand, turn

SCALE = 128.0  # pixels of a sprite per meter
WIDTH, HEIGHT = 208, 288
FEET = (104.0, 274.0)  # where the ground between the feet lies in a sprite

# how far down the upper garments reach, in statures above the ground
HEMS = {"t-shirt": 0.5, "shirt": 0.49, "jacket": 0.48, "hoodie": 0.485, "coat": 0.33, "dress": 0.3}
Part = tuple[float, Callable[[], None]]  # how near to the viewer it is, in statures, and what paints it


class PersonCanvas:
    """One person being rendered; `place` maps meters to the canvas."""

    def __init__(self, identity: Identity, pose: Pose) -> None:
        self.identity, self.pose, self.canvas = identity, pose, Canvas(WIDTH, HEIGHT)
        self.joints = stand(pose, identity.height, identity.build)
        self.upper, self.lower = _cloth(identity)

    def place(self, point: Points) -> Points:
        """Metres (..., 2 or 3) of the viewer's axes to canvas pixels (..., 2)."""
        return SCALE * np.asarray(point)[..., :2] + FEET

    def joint(self, name: str) -> Points:
        """A joint in canvas pixels (2,)."""
        return self.place(self.joints[name])

    def joint_depth(self, name: str) -> float:
        """How near to the viewer a joint is, in statures."""
        return float(self.joints[name][2]) / self.identity.height

    def at(self, forward: float, left: float, up: float) -> Points:
        """A point of the body's axes, in statures, in canvas pixels (2,)."""
        return self.patch([forward, left, up])

    def patch(self, points: npt.ArrayLike) -> Points:
        """Points (..., 3) forward, left, up in statures, in canvas pixels (..., 2)."""
        return self.place(turn(np.asarray(points, float) * self.identity.height, self.pose.facing))

    def depth(self, forward: float, left: float = 0.0) -> float:
        """How near to the viewer a point of the body's axes (in statures) is, in statures."""
        return float(turn(np.array([forward, left, 0.0]), self.pose.facing)[2])

    def span(self, across: float, through: float) -> float:
        """Half the visible width in pixels of an ellipse with half axes (statures) across and through the body."""
        facing = self.pose.facing
        wide = float(np.hypot(across * np.cos(facing), through * np.sin(facing)))
        return wide * self.identity.build * self.identity.height * SCALE

    def girth(self, share: float) -> float:
        """A limb's radius in pixels from a share of the stature."""
        return share * self.identity.height * SCALE * (0.5 + 0.5 * self.identity.build)


@lru_cache(maxsize=512)
def _cloth(identity: Identity) -> tuple[Paint, Paint]:
    rows = [round(FEET[1] - share * identity.height * SCALE) for share in (0.84, HEMS[identity.upper.kind])]
    upper = render_pattern(identity.upper, WIDTH, HEIGHT, rows[0], rows[1])
    lower = render_pattern(identity.lower, WIDTH, HEIGHT, rows[1], round(FEET[1]))
    return upper, lower
