"""What makes a synthetic person the same person in every image: clothes, build, skin, hair and bags.

Colours come from short palettes with a little jitter, so that many people share a colour and only the whole outfit
tells them apart.
"""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]  # RGB

UPPER_COLOURS: tuple[Colour, ...] = (
    (38, 38, 42), (66, 70, 76), (128, 130, 134), (190, 192, 194), (228, 226, 220), (34, 46, 88), (48, 88, 158),
    (136, 176, 212), (176, 40, 44), (108, 32, 48), (52, 116, 76), (96, 102, 62), (204, 182, 146), (214, 162, 54),
    (212, 134, 156), (108, 74, 140), (218, 108, 48), (44, 128, 134), (116, 78, 54),
)  # fmt: skip
LOWER_COLOURS: tuple[Colour, ...] = (
    (34, 34, 38), (42, 52, 84), (70, 92, 132), (122, 146, 178), (168, 150, 114), (106, 108, 112), (88, 66, 50),
    (206, 204, 196), (84, 90, 62), (92, 40, 50),
)  # fmt: skip
SKIN_COLOURS: tuple[Colour, ...] = (
    (240, 206, 178), (226, 184, 150), (204, 156, 118), (170, 120, 84), (126, 84, 58), (88, 60, 44),
)  # fmt: skip
HAIR_COLOURS: tuple[Colour, ...] = (
    (30, 26, 26), (62, 42, 30), (104, 72, 44), (176, 138, 82), (214, 186, 128), (132, 130, 130), (142, 62, 34),
)  # fmt: skip
SHOE_COLOURS: tuple[Colour, ...] = ((32, 30, 32), (226, 226, 224), (104, 74, 50), (60, 64, 72), (170, 44, 44))
BAG_COLOURS: tuple[Colour, ...] = (
    (36, 36, 40), (120, 82, 52), (170, 46, 48), (42, 62, 112), (78, 104, 66), (196, 176, 140), (214, 150, 46),
)  # fmt: skip

UPPER_KINDS = {"t-shirt": 0.26, "shirt": 0.24, "jacket": 0.2, "hoodie": 0.12, "coat": 0.1, "dress": 0.08}
LOWER_KINDS = {"trousers": 0.66, "shorts": 0.16, "skirt": 0.12, "long skirt": 0.06}
UPPER_PATTERNS = {
    "plain": 0.36, "stripes": 0.14, "bars": 0.06, "checks": 0.12, "dots": 0.06, "gradient": 0.06, "blocks": 0.1,
    "print": 0.1,
}  # fmt: skip
LOWER_PATTERNS = {"plain": 0.78, "side stripe": 0.1, "checks": 0.07, "gradient": 0.05}
HAIR_STYLES = {"short": 0.42, "long": 0.22, "bun": 0.1, "ponytail": 0.12, "bald": 0.08, "curly": 0.06}
HATS = {"none": 0.76, "cap": 0.14, "beanie": 0.1}
BAGS = {"none": 0.44, "backpack": 0.24, "shoulder bag": 0.2, "handbag": 0.12}


@dataclass(frozen=True)
class Garment:
    """One piece of clothing; `second` is the colour of its pattern, lining or lapel."""

    kind: str
    pattern: str
    colour: Colour
    second: Colour


@dataclass(frozen=True)
class Identity:
    """Everything about a person that does not change from image to image (height in metres)."""

    height: float
    build: float
    skin: Colour
    hair: Colour
    hair_style: str
    hat: str
    hat_colour: Colour
    upper: Garment
    lower: Garment
    shoes: Colour
    bag: str
    bag_colour: Colour
    sleeves_rolled: bool


def sample_identity(random: np.random.Generator) -> Identity:
    """A person drawn at random; the same generator state gives the same person."""
    upper = _draw_garment(random, UPPER_KINDS, UPPER_PATTERNS, UPPER_COLOURS)
    lower = _draw_garment(random, LOWER_KINDS, LOWER_PATTERNS, LOWER_COLOURS)
    return Identity(
        height=float(np.clip(random.normal(1.72, 0.09), 1.5, 1.95)),
        build=float(np.clip(random.normal(1.0, 0.12), 0.8, 1.32)),
        skin=_draw_colour(random, SKIN_COLOURS, 5),
        hair=_draw_colour(random, HAIR_COLOURS, 6),
        hair_style=_draw_kind(random, HAIR_STYLES),
        hat=_draw_kind(random, HATS),
        hat_colour=_draw_colour(random, UPPER_COLOURS, 8),
        upper=upper,
        lower=lower,
        shoes=_draw_colour(random, SHOE_COLOURS, 6),
        bag=_draw_kind(random, BAGS),
        bag_colour=_draw_colour(random, BAG_COLOURS, 8),
        sleeves_rolled=bool(random.random() < 0.25),
    )


def _draw_garment(
    random: np.random.Generator, kinds: dict[str, float], patterns: dict[str, float], colours: tuple[Colour, ...]
) -> Garment:
    first, second = random.choice(len(colours), 2, replace=False)
    return Garment(
        kind=_draw_kind(random, kinds),
        pattern=_draw_kind(random, patterns),
        colour=_jitter(random, colours[first], 9),
        second=_jitter(random, colours[second], 9),
    )


def _draw_kind(random: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return list(shares)[int(random.choice(len(shares), p=weights / weights.sum()))]


def _draw_colour(random: np.random.Generator, colours: tuple[Colour, ...], spread: int) -> Colour:
    return _jitter(random, colours[int(random.integers(len(colours)))], spread)


def _jitter(random: np.random.Generator, colour: Colour, spread: int) -> Colour:
    red, green, blue = np.clip(np.array(colour) + random.integers(-spread, spread + 1, 3), 0, 255)
    return int(red), int(green), int(blue)
