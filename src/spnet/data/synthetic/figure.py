"""Draws one person: skeleton plus identity become a sprite.

Body parts are painted from far to near, so front, side and back views need no cases of their own.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from spnet.data.synthetic import bags, heads
from spnet.data.synthetic.canvas import Canvas, Paint, Sprite, shift
from spnet.data.synthetic.fabric import weave
from spnet.data.synthetic.identity import Colour, Identity
from spnet.data.synthetic.pose import HIP, SHOULDER, Pose, Skeleton, stand

SCALE = 128.0  # pixels of a sprite per metre
WIDTH, HEIGHT = 208, 288
FEET = np.array([104.0, 274.0])  # where the ground between the feet lies in a sprite

HEMS = {"t-shirt": 0.5, "shirt": 0.49, "jacket": 0.48, "hoodie": 0.485, "coat": 0.33, "dress": 0.3}
SKIRT_HEMS = {"skirt": 0.3, "long skirt": 0.1}
Part = tuple[float, Callable[[], None]]


class Figure:
    """One person being drawn; `place` maps metres to the canvas."""

    def __init__(self, identity: Identity, pose: Pose) -> None:
        self.identity, self.canvas = identity, Canvas(WIDTH, HEIGHT)
        self.skeleton: Skeleton = stand(pose, identity.height, identity.build)
        self.upper, self.lower = _cloth(identity)

    def place(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres (..., 2 or 3) of the viewer's axes to canvas pixels (..., 2)."""
        return FEET + SCALE * np.asarray(point)[..., :2]

    def joint(self, name: str) -> NDArray[np.float64]:
        """A joint in canvas pixels (2,)."""
        return self.place(self.skeleton.joints[name])

    def at(self, forward: float, left: float, up: float) -> NDArray[np.float64]:
        """A point of the body's axes, in statures, in canvas pixels (2,)."""
        height = self.skeleton.height
        return self.place(self.skeleton.turn(forward * height, left * height, up * height))

    def depth(self, forward: float, left: float = 0.0) -> float:
        """How near to the viewer a point of the body's axes (in statures) is, in metres."""
        return float(self.skeleton.turn(forward, left, 0.0)[2] * self.skeleton.height)

    def span(self, across: float, through: float) -> float:
        """Half the visible width, in pixels, of an ellipse with half axes (statures) across and through the body."""
        facing = self.skeleton.pose.facing
        wide = np.hypot(across * np.cos(facing), through * np.sin(facing))
        return float(wide * self.identity.build * self.identity.height * SCALE)

    def girth(self, share: float) -> float:
        """A limb's radius in pixels from a share of the stature."""
        return share * self.identity.height * SCALE * (0.5 + 0.5 * self.identity.build)


def draw_figure(identity: Identity, pose: Pose, random: np.random.Generator) -> Sprite:
    """The sprite (HEIGHT, WIDTH) of a person, standing at FEET, SCALE pixels to a metre."""
    figure = Figure(identity, pose)
    parts: list[Part] = [_torso(figure), *bags.parts(figure), *heads.parts(figure)]
    for side in ("left", "right"):
        parts += [_leg(figure, side), _arm(figure, side)]
    for _, paint in sorted(parts, key=lambda part: part[0]):
        paint()
    noise = fold_noise()
    row, column = random.integers(0, noise.shape[0] - HEIGHT), random.integers(0, noise.shape[1] - WIDTH)
    return figure.canvas.finish(noise[row : row + HEIGHT, column : column + WIDTH])


def _leg(figure: Figure, side: str) -> Part:
    canvas, identity = figure.canvas, figure.identity
    hip, knee, ankle, toe = (figure.joint(f"{side} {name}") for name in ("hip", "knee", "ankle", "toe"))
    depth = float(figure.skeleton.joints[f"{side} knee"][2])
    shade = 14 if depth < 0 else 0
    skin = identity.skin
    bare = identity.upper.kind == "dress" or identity.lower.kind != "trousers"
    thigh: Paint = skin if bare and identity.lower.kind != "shorts" else figure.lower
    shin: Paint = skin if bare else figure.lower

    def paint() -> None:
        wide, knee_width, narrow = figure.girth(0.05), figure.girth(0.034), figure.girth(0.019 if bare else 0.026)
        canvas.limb(shift(ankle, 0, 1), toe, (figure.girth(0.021), figure.girth(0.017)), identity.shoes, shade)
        canvas.limb(knee, ankle, (knee_width * (0.85 if bare else 1), narrow), shin, shade)
        canvas.limb(hip, knee, (wide, knee_width * (0.9 if bare else 1)), skin if bare else thigh, shade)
        if bare and identity.lower.kind == "shorts" and identity.upper.kind != "dress":
            canvas.limb(hip, 0.25 * hip + 0.75 * knee, (wide, 1.25 * knee_width), figure.lower, shade)
        if identity.lower.pattern == "side stripe" and not bare and depth > -0.06:
            canvas.line([hip, knee, ankle], identity.lower.second, 3)

    return depth - 1.0, paint


def _arm(figure: Figure, side: str) -> Part:
    canvas, identity = figure.canvas, figure.identity
    shoulder, elbow, hand = (figure.joint(f"{side} {name}") for name in ("shoulder", "elbow", "hand"))
    depth = float(figure.skeleton.joints[f"{side} elbow"][2])
    shade = 16 if depth < -0.05 else 0
    kind = identity.upper.kind
    short = kind in ("t-shirt", "dress") or (kind == "shirt" and identity.sleeves_rolled)
    loose = 1.18 if kind in ("jacket", "coat", "hoodie") else 1.0

    def paint() -> None:
        top, middle, end = figure.girth(0.03) * loose, figure.girth(0.024) * loose, figure.girth(0.018) * loose
        canvas.disc(hand + 0.1 * (hand - elbow), (figure.girth(0.021), figure.girth(0.024)), identity.skin)
        canvas.limb(elbow, hand, (0.8 * middle, 0.8 * end) if short else (middle, end), _sleeve(figure, short), shade)
        if short:
            canvas.limb(shoulder, elbow, (0.8 * top, 0.8 * middle), identity.skin, shade)
            canvas.limb(shoulder, 0.35 * shoulder + 0.65 * elbow, (top, 1.1 * middle), figure.upper, shade)
        else:
            canvas.limb(shoulder, elbow, (top, middle), figure.upper, shade)

    return depth, paint


def _sleeve(figure: Figure, short: bool) -> Paint:
    return figure.identity.skin if short else figure.upper


def _torso(figure: Figure) -> Part:
    identity = figure.identity

    def paint() -> None:
        if identity.upper.kind != "dress" and identity.lower.kind in SKIRT_HEMS:
            _skirt(figure, SKIRT_HEMS[identity.lower.kind], figure.lower, HIP + 0.06)
        else:
            _outline(figure, 0.47, figure.lower, HIP + 0.02)
        if identity.upper.kind in ("coat", "dress"):
            _skirt(figure, HEMS[identity.upper.kind], figure.upper, HIP + 0.1)
        _outline(figure, max(HEMS[identity.upper.kind], 0.48), figure.upper, SHOULDER + 0.03)
        _front(figure)

    return 0.0, paint


def _outline(figure: Figure, hem: float, paint: Paint, top: float) -> None:
    """The trunk of the body between two heights (shares of the stature)."""
    levels = np.array([(0.845, 0.03, 0.03), (0.832, 0.075, 0.045), (0.812, 0.112, 0.055), (0.78, 0.116, 0.07),
                       (0.72, 0.104, 0.078), (0.62, 0.09, 0.068), (0.54, 0.1, 0.078), (0.44, 0.1, 0.08)])  # fmt: skip
    heights = np.unique(np.concatenate([levels[:, 0][(levels[:, 0] < top) & (levels[:, 0] > hem)], [hem, top]]))
    rising = levels[::-1]
    across, through = (np.interp(heights, rising[:, 0], rising[:, column]) for column in (1, 2))
    half = np.array([figure.span(a, t) for a, t in zip(across, through, strict=True)])
    lean = figure.skeleton.pose.lean * (heights - HIP) / (SHOULDER - HIP)
    middle = np.array([figure.at(forward, 0.0, up) for forward, up in zip(lean, heights, strict=True)])
    left, right = middle - np.outer(half, [1, 0]), middle + np.outer(half, [1, 0])
    figure.canvas.shape(np.concatenate([left, right[::-1]]), paint, 108, rim=1.5)
    lit = np.concatenate([middle - np.outer(0.62 * half, [1, 0]), (middle + np.outer(0.25 * half, [1, 0]))[::-1]])
    figure.canvas.highlight(lit, 138)


def _skirt(figure: Figure, hem: float, paint: Paint, waist: float) -> None:
    """From the waist to the hem, as wide as the legs have stepped."""
    knees = np.array([figure.joint("left knee"), figure.joint("right knee")])[:, 0]
    flare = figure.span(0.115, 0.1) + 0.25 * abs(knees[0] - knees[1])
    centre = figure.at(0.0, 0.0, waist)
    bottom = shift(figure.at(0.0, 0.0, hem), 0.3 * (knees.mean() - centre[0]), 0)
    narrow = figure.span(0.088, 0.068)
    corners = [
        centre - [narrow, 0],
        shift(centre, narrow, 0),
        shift(bottom, flare, -2),
        shift(bottom, 0, 2),
        bottom - [flare, 2],
    ]
    figure.canvas.shape(corners, paint, 108, rim=1.5)
    lit = [
        centre - [0.6 * narrow, 0],
        shift(centre, 0.2 * narrow, 0),
        shift(bottom, 0.1 * flare, 0),
        bottom - [0.6 * flare, 0],
    ]
    figure.canvas.highlight(lit, 138)


def _front(figure: Figure) -> None:
    """What the chest shows when it can be seen: an open jacket, buttons, a hood's cords or a print."""
    upper, canvas = figure.identity.upper, figure.canvas
    view = figure.depth(1.0) / figure.identity.height  # cosine of the angle to the viewer
    if view < 0.25:
        if upper.kind == "hoodie" and view < 0:
            canvas.shape(
                [figure.at(-0.07, s, u) for s, u in ((-0.06, 0.84), (0.06, 0.84), (0.0, 0.77))], upper.colour, 112
            )
        return
    if upper.kind in ("jacket", "coat"):
        lining = [(0.03, 0.83), (-0.03, 0.83), (-0.034, 0.5), (0.034, 0.5)]
        canvas.shape([figure.at(0.075, left, up) for left, up in lining], upper.second, 118, rim=1)
    elif upper.kind in ("shirt", "hoodie"):
        dark: Colour = (int(0.6 * upper.colour[0]), int(0.6 * upper.colour[1]), int(0.6 * upper.colour[2]))
        canvas.line([figure.at(0.075, 0, 0.82), figure.at(0.075, 0, 0.52)], dark, 2)
        canvas.shape(
            [figure.at(0.07, s, u) for s, u in ((-0.03, 0.84), (0.03, 0.84), (0.0, 0.79))], figure.identity.skin
        )
    if upper.pattern == "print":
        badge = [(-0.05, 0.75), (0.05, 0.75), (0.055, 0.67), (0.0, 0.64), (-0.055, 0.67)]
        canvas.shape([figure.at(0.078, left, up) for left, up in badge], upper.second, 132)


@lru_cache(maxsize=512)
def _cloth(identity: Identity) -> tuple[Paint, Paint]:
    rows = [round(FEET[1] - share * identity.height * SCALE) for share in (0.84, HEMS[identity.upper.kind])]
    upper = weave(identity.upper, WIDTH, HEIGHT, rows[0], rows[1])
    lower = weave(identity.lower, WIDTH, HEIGHT, rows[1], round(FEET[1]))
    return upper, lower


@lru_cache(maxsize=1)
def fold_noise() -> NDArray[Any]:
    """Soft folds (768, 512), a few grey levels, the same for everyone; a figure shows a random window of it."""
    random = np.random.default_rng(7)
    coarse = random.normal(size=(768 // 10, 512 // 6)).astype(np.float32)
    return 9 * cv2.resize(coarse, (512, 768), interpolation=cv2.INTER_CUBIC)
