"""What makes a synthetic person the same person in every image: clothes, build, skin, hair and bags.

Colors come from short palettes with a little jitter, so that many people share a color and only the whole outfit
distinguishes them.
"""

from dataclasses import dataclass

import numpy as np

Color = tuple[int, int, int]  # RGB

_UPPER_COLORS: tuple[Color, ...] = (
    (38, 38, 42), (66, 70, 76), (128, 130, 134), (190, 192, 194), (228, 226, 220), (34, 46, 88), (48, 88, 158),
    (136, 176, 212), (176, 40, 44), (108, 32, 48), (52, 116, 76), (96, 102, 62), (204, 182, 146), (214, 162, 54),
    (212, 134, 156), (108, 74, 140), (218, 108, 48), (44, 128, 134), (116, 78, 54),
)  # fmt: skip
_LOWER_COLORS: tuple[Color, ...] = (
    (34, 34, 38), (42, 52, 84), (70, 92, 132), (122, 146, 178), (168, 150, 114), (106, 108, 112), (88, 66, 50),
    (206, 204, 196), (84, 90, 62), (92, 40, 50),
)  # fmt: skip
_SKIN_COLORS: tuple[Color, ...] = (
    (240, 206, 178), (226, 184, 150), (204, 156, 118), (170, 120, 84), (126, 84, 58), (88, 60, 44),
)  # fmt: skip
_HAIR_COLORS: tuple[Color, ...] = (
    (30, 26, 26), (62, 42, 30), (104, 72, 44), (176, 138, 82), (214, 186, 128), (132, 130, 130), (142, 62, 34),
)  # fmt: skip
_SHOE_COLORS: tuple[Color, ...] = ((32, 30, 32), (226, 226, 224), (104, 74, 50), (60, 64, 72), (170, 44, 44))
_BAG_COLORS: tuple[Color, ...] = (
    (36, 36, 40), (120, 82, 52), (170, 46, 48), (42, 62, 112), (78, 104, 66), (196, 176, 140), (214, 150, 46),
)  # fmt: skip

UPPER_KINDS = {"t-shirt": 0.26, "shirt": 0.24, "jacket": 0.2, "hoodie": 0.12, "coat": 0.1, "dress": 0.08}
LOWER_KINDS = {"trousers": 0.66, "shorts": 0.16, "skirt": 0.12, "long skirt": 0.06}
_UPPER_PATTERNS = {
    "plain": 0.36, "stripes": 0.14, "bars": 0.06, "checks": 0.12, "dots": 0.06, "gradient": 0.06, "blocks": 0.1,
    "print": 0.1,
}  # fmt: skip
_LOWER_PATTERNS = {"plain": 0.78, "side stripe": 0.1, "checks": 0.07, "gradient": 0.05}
HAIR_STYLES = {"short": 0.42, "long": 0.22, "bun": 0.1, "ponytail": 0.12, "bald": 0.08, "curly": 0.06}
HATS = {"none": 0.76, "cap": 0.14, "beanie": 0.1}
BAGS = {"none": 0.44, "backpack": 0.24, "shoulder bag": 0.2, "handbag": 0.12}


@dataclass(frozen=True)
class Garment:
    """One piece of clothing; `second` is the color of its pattern, lining or lapel."""

    kind: str
    pattern: str
    color: Color
    second: Color


@dataclass(frozen=True)
class Identity:
    """Everything about a person that does not change from image to image (height in meters)."""

    height: float
    build: float
    skin: Color
    hair: Color
    hair_style: str
    hat: str
    hat_color: Color
    upper: Garment
    lower: Garment
    shoes: Color
    bag: str
    bag_color: Color
    sleeves_rolled: bool


def sample_identity(random: np.random.Generator) -> Identity:
    """Sample a person; the same generator state gives the same person."""
    upper = _sample_garment(random, UPPER_KINDS, _UPPER_PATTERNS, _UPPER_COLORS)
    lower = _sample_garment(random, LOWER_KINDS, _LOWER_PATTERNS, _LOWER_COLORS)
    return Identity(
        height=float(np.clip(random.normal(1.72, 0.09), 1.5, 1.95)),
        build=float(np.clip(random.normal(1.0, 0.12), 0.8, 1.32)),
        skin=_sample_color(random, _SKIN_COLORS, 5),
        hair=_sample_color(random, _HAIR_COLORS, 6),
        hair_style=_sample_kind(random, HAIR_STYLES),
        hat=_sample_kind(random, HATS),
        hat_color=_sample_color(random, _UPPER_COLORS, 8),
        upper=upper,
        lower=lower,
        shoes=_sample_color(random, _SHOE_COLORS, 6),
        bag=_sample_kind(random, BAGS),
        bag_color=_sample_color(random, _BAG_COLORS, 8),
        sleeves_rolled=bool(random.random() < 0.25),
    )


def _sample_garment(
    random: np.random.Generator, kinds: dict[str, float], patterns: dict[str, float], colors: tuple[Color, ...]
) -> Garment:
    first, second = random.choice(len(colors), 2, replace=False)
    return Garment(
        kind=_sample_kind(random, kinds),
        pattern=_sample_kind(random, patterns),
        color=_jitter(random, colors[first], 9),
        second=_jitter(random, colors[second], 9),
    )


def _sample_kind(random: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[int(random.choice(len(shares), p=weights / weights.sum()))]


def _sample_color(random: np.random.Generator, colors: tuple[Color, ...], spread: int) -> Color:
    return _jitter(random, colors[int(random.integers(len(colors)))], spread)


def _jitter(random: np.random.Generator, color: Color, spread: int) -> Color:
    red, green, blue = np.clip(np.array(color) + random.integers(-spread, spread + 1, 3), 0, 255)
    return int(red), int(green), int(blue)
