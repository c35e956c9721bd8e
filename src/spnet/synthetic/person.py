"""Render one person: identity and pose become a sprite; here are the legs, arms and the clothed torso.

The parts are painted from far to near, so front, side and back views need no cases of their own.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic.bags import bag_parts
from spnet.synthetic.canvas import Paint, Points, Sprite, shift
from spnet.synthetic.heads import head_parts
from spnet.synthetic.identity import Identity
from spnet.synthetic.person_canvas import HEIGHT, HEMS, WIDTH, Part, PersonCanvas
from spnet.synthetic.pose import HIP, SHOULDER, Pose

# height, half width across and half depth through the body, in statures, from the hips to the neck
_TORSO = np.array([(0.44, 0.105, 0.084), (0.54, 0.105, 0.083), (0.62, 0.095, 0.073), (0.72, 0.109, 0.082),
                  (0.78, 0.121, 0.074), (0.812, 0.117, 0.06), (0.832, 0.08, 0.048), (0.845, 0.032, 0.032)])  # fmt: skip
_SKIRT_HEMS = {"skirt": 0.3, "long skirt": 0.1}


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


def body_parts(person: PersonCanvas) -> list[Part]:
    """Torso and limbs as parts to sort by depth."""
    limbs = [part(person, side) for side in ("left", "right") for part in (_leg, _arm)]
    return [*limbs, (0.0, lambda: _torso(person))]


def _leg(person: PersonCanvas, side: str) -> Part:
    canvas, identity = person.canvas, person.identity
    hip, knee, ankle, toe = (person.joint(f"{side} {name}") for name in ("hip", "knee", "ankle", "toe"))
    depth = person.joint_depth(f"{side} knee")
    shade = 14 if depth < 0 else 0
    dressed = identity.upper.kind != "dress" and identity.lower.kind == "trousers"
    shorts = identity.upper.kind != "dress" and identity.lower.kind == "shorts"
    cloth: Paint = person.lower if dressed else identity.skin
    thigh, calf, heel = (person.girth(share) for share in ((0.053, 0.036, 0.027) if dressed else (0.046, 0.032, 0.02)))

    def paint() -> None:
        canvas.limb(shift(ankle, 0, 1), toe, (person.girth(0.022), person.girth(0.018)), identity.shoes, shade)
        canvas.limb(knee, ankle, (calf, heel), cloth, shade)
        canvas.limb(hip, knee, (thigh, calf), cloth, shade)
        if shorts:
            canvas.limb(hip, 0.25 * hip + 0.75 * knee, (person.girth(0.053), person.girth(0.044)), person.lower, shade)
        if dressed and identity.lower.pattern == "side stripe":
            canvas.line([hip, knee, ankle], identity.lower.second, 3)

    return depth - 1.0, paint  # a stature nearer or farther: legs are always under the torso's clothes


def _arm(person: PersonCanvas, side: str) -> Part:
    canvas, identity = person.canvas, person.identity
    shoulder, elbow, hand = (person.joint(f"{side} {name}") for name in ("shoulder", "elbow", "hand"))
    depth = person.joint_depth(f"{side} elbow")
    shade = 16 if depth < -0.03 else 0
    kind = identity.upper.kind
    short = kind in ("t-shirt", "dress") or (kind == "shirt" and identity.sleeves_rolled)
    wide = 1.18 if kind in ("jacket", "coat", "hoodie") else 1.0
    top, middle, end = (person.girth(share * wide) for share in (0.032, 0.026, 0.02))

    def paint() -> None:
        canvas.disc(hand + 0.1 * (hand - elbow), (person.girth(0.021), person.girth(0.024)), identity.skin)
        if short:
            canvas.limb(elbow, hand, (0.8 * middle, 0.8 * end), identity.skin, shade)
            canvas.limb(shoulder, elbow, (0.8 * top, 0.8 * middle), identity.skin, shade)
            canvas.limb(shoulder, 0.35 * shoulder + 0.65 * elbow, (top, 1.1 * middle), person.upper, shade)
        else:
            canvas.limb(elbow, hand, (middle, end), person.upper, shade)
            canvas.limb(shoulder, elbow, (top, middle), person.upper, shade)

    return depth, paint


def _torso(person: PersonCanvas) -> None:
    upper, lower = person.identity.upper.kind, person.identity.lower.kind
    if upper != "dress" and lower in _SKIRT_HEMS:
        _flared(person, HIP + 0.06, _SKIRT_HEMS[lower], person.lower)
    else:
        _fitted(person, HIP + 0.02, 0.47, person.lower)
    if upper in ("coat", "dress"):
        _flared(person, HIP + 0.1, HEMS[upper], person.upper)
    _fitted(person, SHOULDER + 0.03, max(HEMS[upper], 0.48), person.upper)
    _chest(person)


def _fitted(person: PersonCanvas, top: float, hem: float, paint: Paint) -> None:
    """Cloth around the torso between two heights."""
    inside = (_TORSO[:, 0] > hem) & (_TORSO[:, 0] < top)
    heights = np.concatenate([[hem], _TORSO[inside, 0], [top]])
    across, through = (np.interp(heights, _TORSO[:, 0], _TORSO[:, column]) for column in (1, 2))
    half = np.array([person.span(*axes) for axes in zip(across, through, strict=True)])
    lean = person.pose.lean * (heights - HIP) / (SHOULDER - HIP)
    middle = person.patch(np.stack([lean, np.zeros_like(lean), heights], 1))
    _shaded_band(person, middle, half, paint)


def _flared(person: PersonCanvas, waist: float, hem: float, paint: Paint) -> None:
    """A skirt from the waist to the hem, as wide as the legs have stepped."""
    knees = np.array([person.joint("left knee")[0], person.joint("right knee")[0]])
    top, bottom = person.at(0.0, 0.0, waist), person.at(0.0, 0.0, hem)
    bottom = shift(bottom, 0.3 * (knees.mean() - top[0]), 0)
    narrow, flare = person.span(0.09, 0.07), person.span(0.12, 0.1) + 0.25 * abs(knees[0] - knees[1])
    _shaded_band(person, np.stack([bottom, top]), np.array([flare, narrow]), paint)


def _shaded_band(person: PersonCanvas, middle: Points, half: Points, paint: Paint) -> None:
    """Cloth `half` (K,) pixels wide on each side of the points `middle` (K, 2), lit from the left."""
    aside = np.stack([half, np.zeros_like(half)], 1)
    person.canvas.shape(np.concatenate([middle - aside, (middle + aside)[::-1]]), paint, 108, rim=1.5)
    person.canvas.highlight(np.concatenate([middle - 0.62 * aside, (middle + 0.25 * aside)[::-1]]), 138)


def _chest(person: PersonCanvas) -> None:
    """What the garment shows in front (an open jacket, buttons, a print) or, of a hood, behind."""
    upper, canvas, facing = person.identity.upper, person.canvas, person.depth(1.0)
    if facing < 0 and upper.kind == "hoodie":
        canvas.shape(person.patch([(-0.07, -0.06, 0.84), (-0.07, 0.06, 0.84), (-0.07, 0, 0.77)]), upper.color, 112)
    if facing < 0.25:
        return
    if upper.kind in ("jacket", "coat"):
        lining = [(0.075, 0.03, 0.83), (0.075, -0.03, 0.83), (0.075, -0.034, 0.5), (0.075, 0.034, 0.5)]
        canvas.shape(person.patch(lining), upper.second, 118, rim=1)
    elif upper.kind in ("shirt", "hoodie"):
        red, green, blue = upper.color
        canvas.line(person.patch([(0.075, 0, 0.82), (0.075, 0, 0.52)]), (red // 2, green // 2, blue // 2), 2)
        collar = [(0.07, -0.03, 0.84), (0.07, 0.03, 0.84), (0.07, 0, 0.79)]
        canvas.shape(person.patch(collar), person.identity.skin)
    if upper.pattern == "print":
        corners = ((-0.05, 0.75), (0.05, 0.75), (0.055, 0.67), (0, 0.64), (-0.055, 0.67))
        canvas.shape(person.patch([(0.078, left, up) for left, up in corners]), upper.second, 132)
