"""Heads: face, hair and hats, seen from any side."""

import numpy as np

from spnet.synthetic.canvas import Points, shift
from spnet.synthetic.identity import Color
from spnet.synthetic.person_canvas import SCALE, Part, PersonCanvas
from spnet.synthetic.pose import SHOULDER

_BEHIND = -0.35  # cosine to the viewer below which no face is seen
_CROWN = 0.072  # statures above the head's center


def head_parts(person: PersonCanvas) -> list[Part]:
    """Neck and head, and the hair that hangs behind the shoulders (in front of them when seen from behind)."""
    long = person.identity.hair_style in ("long", "ponytail") and person.identity.hat != "beanie"
    hanging: list[Part] = [(person.depth(-0.06), lambda: _hang(person))] if long else []
    return [(0.005, lambda: _neck(person)), (0.06, lambda: _head(person)), *hanging]


def _at(person: PersonCanvas, forward: float, left: float, up: float) -> Points:
    """A point about the head's center, in statures, in canvas pixels (2,)."""
    return person.joint("head") + person.at(forward, left, up) - person.at(0, 0, 0)


def _neck(person: PersonCanvas) -> None:
    width = person.girth(0.03)
    chest, chin = person.at(0.0, 0.0, SHOULDER + 0.015), _at(person, -0.008, 0, -0.03)
    person.canvas.limb(chest, chin, (width, width), person.identity.skin, 18)


def _head(person: PersonCanvas) -> None:
    identity, canvas = person.identity, person.canvas
    unit = identity.height * SCALE
    facing, side = person.depth(1.0), float(np.sin(person.pose.facing))
    wide = (0.05 + 0.009 * abs(side)) * unit
    bald = identity.hair_style == "bald"
    hair = identity.skin if bald else identity.hair
    puff = 1.22 if identity.hair_style == "curly" else 1.08
    if identity.hair_style == "bun":
        canvas.disc(_at(person, -0.055, 0, 0.055), (0.026 * unit, 0.026 * unit), hair, 112)
    canvas.disc(shift(_at(person, 0.004, 0, 0), 0, -0.012 * unit), (wide * puff, 0.069 * unit * puff), hair, 112)
    if facing > _BEHIND:
        _face(person, unit, facing)
        if not bald:
            _fringe(person, unit, facing, hair)
    if abs(side) > 0.3 and facing > -0.6:
        canvas.disc(_at(person, -0.012, 0.0, -0.008), (0.011 * unit, 0.016 * unit), identity.skin, 104)
    _hat(person, wide)


def _face(person: PersonCanvas, unit: float, facing: float) -> None:
    canvas, identity = person.canvas, person.identity
    shown = np.clip(0.35 + facing, 0.25, 1.0) ** 0.5
    middle = _at(person, 0.022, 0.0, -0.012)
    canvas.disc(middle, (0.046 * unit * shown, 0.056 * unit), identity.skin, 124)
    canvas.disc(shift(middle, -0.012 * unit, -0.01 * unit), (0.02 * unit, 0.03 * unit), identity.skin, 140)
    for left in (-0.02, 0.02):
        if person.depth(0.05, left) > 0.006:
            canvas.disc(_at(person, 0.05, left, -0.002), (0.006 * unit, 0.0045 * unit), (48, 36, 34))
            brow = [_at(person, 0.05, left - 0.009, 0.009), _at(person, 0.05, left + 0.009, 0.009)]
            canvas.line(brow, identity.hair, 2)
    if abs(facing) < 0.85:
        canvas.disc(_at(person, 0.058, 0.0, -0.016), (0.011 * unit, 0.009 * unit), identity.skin, 116)
    red, green, blue = identity.skin
    mouth = [_at(person, 0.05, -0.011, -0.038), _at(person, 0.05, 0.011, -0.038)]
    canvas.line(mouth, (red * 3 // 4, green // 2, blue // 2), 2)


def _fringe(person: PersonCanvas, unit: float, facing: float, hair: Color) -> None:
    """The top of the hair, lower at the back of the head than at the forehead."""
    front, back = _at(person, 0.05, 0, 0.03), _at(person, -0.055, 0, -0.01)
    half = 0.053 * unit * abs(facing)
    top = _at(person, 0.0, 0, _CROWN)
    left, right = sorted((front[0], back[0]))
    rows = (front[1], back[1]) if front[0] <= back[0] else (back[1], front[1])
    low, inner = top[1] + 0.03 * unit, 0.25 * (right - left) - 0.4 * half
    corners = [(left - half, rows[0]), (left - 0.8 * half, low), (left + inner, top[1]),
               (right - inner, top[1]), (right + 0.8 * half, low), (right + half, rows[1])]  # fmt: skip
    person.canvas.shape(corners, hair, 116)


def _hang(person: PersonCanvas) -> None:
    """Long hair or a ponytail down the back."""
    identity = person.identity
    wide = (0.05 if identity.hair_style == "long" else 0.018) * identity.height * SCALE
    depth = 0.02 if identity.hair_style == "long" else 0.06
    top, end = _at(person, -depth, 0, 0.0), _at(person, -depth - 0.01, 0, -0.13)
    person.canvas.limb(top, end, (wide, 0.8 * wide), identity.hair)


def _hat(person: PersonCanvas, wide: float) -> None:
    identity, canvas = person.identity, person.canvas
    if identity.hat == "none":
        return
    brim, top, radius = _at(person, 0.0, 0, 0.026), _at(person, 0.0, 0, _CROWN + 0.012), 1.14 * wide
    angles = np.linspace(np.pi, 2 * np.pi, 9)
    dome = brim + np.stack([radius * np.cos(angles), (brim[1] - top[1]) * np.sin(angles)], 1)
    canvas.shape(dome, identity.hat_color, 122, rim=1)
    if identity.hat == "cap":
        canvas.limb(_at(person, 0.03, 0, 0.026), _at(person, 0.095, 0, 0.018), (3.5, 3.0), identity.hat_color, 20)
    else:
        canvas.limb(shift(brim, -radius, 0), shift(brim, radius, 0), (4.5, 4.5), identity.hat_color, 14)
