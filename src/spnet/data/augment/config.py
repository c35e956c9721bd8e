"""What a configuration says about augmentation, checked once where it is made."""

import math
from dataclasses import dataclass

from spnet.errors import UserError

NAMES = ("wrs", "rrc2", "rrc_scale")


@dataclass(frozen=True)
class Augmentation:
    """How views are made of a scene (SPEC section 5; supplementary section 8, "Image Augmentation").

    Raises UserError for a value outside its choices.
    """

    name: str = "rrc2"  # wrs: only resized, for evaluation; rrc2: random crops; rrc_scale: random scale, random crops
    crop_size: int = 512  # side of the square views of rrc2 and rrc_scale, pixels
    scale_range: tuple[float, float] = (0.5, 2.0)  # of rrc_scale, uniform; the released code draws from 1.5 to 3
    window: tuple[int, int] = (900, 1500)  # of wrs and rrc2: shortest side, largest longest side, pixels
    views: int = 1  # of each picture, which is decoded once

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        low, high = self.scale_range
        shortest, longest = self.window
        _require(self.name in NAMES, "name", self.name, f"one of {', '.join(NAMES)}")
        _require(self.crop_size >= 1, "crop_size", self.crop_size, "at least 1 pixel")
        _require(0 < low <= high < math.inf, "scale_range", self.scale_range, "0 < smallest <= largest")
        _require(1 <= shortest <= longest, "window", self.window, "1 <= shortest side <= longest side")
        _require(self.views >= 1, "views", self.views, "at least 1")


def _require(holds: bool, option: str, value: object, choices: str) -> None:
    if not holds:
        raise UserError(f"augmentation {option} is {value!r}, must be {choices}")
