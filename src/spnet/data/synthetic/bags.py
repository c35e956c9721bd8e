"""What people carry: backpacks, shoulder bags and handbags."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from spnet.data.synthetic.canvas import shift

if TYPE_CHECKING:
    from spnet.data.synthetic.figure import Figure

Part = tuple[float, Callable[[], None]]


def parts(figure: "Figure") -> list[Part]:
    """The bag of this person as parts to sort by depth; none for people without one."""
    return PARTS[figure.identity.bag](figure)


def _backpack(figure: "Figure") -> list[Part]:
    colour, canvas = figure.identity.bag_colour, figure.canvas

    def pack() -> None:
        half = figure.span(0.085, 0.05)
        top, bottom = figure.at(-0.1, 0, 0.81), figure.at(-0.11, 0, 0.57)
        wide, narrow = [half, 0], [0.8 * half, 0]
        corners = [
            top - narrow,
            top + narrow,
            0.8 * top + 0.2 * bottom + wide,
            bottom + wide,
            bottom - wide,
            0.8 * top + 0.2 * bottom - wide,
        ]
        canvas.shape(corners, colour, 112, rim=1.5)
        middle = 0.45 * top + 0.55 * bottom
        canvas.highlight(
            [top - [0.5 * half, -4], shift(top, 0.2 * half, 4), shift(bottom, 0.2 * half, 0), bottom - [0.6 * half, 0]],
            140,
        )
        canvas.shape(
            [middle - narrow, middle + narrow, bottom + narrow - [0, 5], bottom - narrow - [0, 5]], colour, 120, rim=1
        )

    def straps() -> None:
        for left in (-0.065, 0.065):
            points = [
                figure.at(forward, left, up)
                for forward, up in ((-0.02, 0.835), (0.075, 0.79), (0.08, 0.7), (0.02, 0.63))
            ]
            canvas.line(points, colour, 5)

    visible: list[Part] = [(figure.depth(-0.12), pack)]
    return [*visible, (0.02, straps)] if figure.depth(1.0) > 0.2 else visible


def _shoulder_bag(figure: "Figure") -> list[Part]:
    colour, canvas = figure.identity.bag_colour, figure.canvas

    def strap() -> None:
        side = 1.0 if figure.depth(1.0) > 0 else -1.0
        canvas.line(
            [figure.at(0.04 * side, -0.07, 0.835), figure.at(0.07 * side, 0.02, 0.67), figure.at(0.0, 0.12, 0.52)],
            colour,
            4,
        )

    def pouch() -> None:
        half, centre = figure.span(0.045, 0.085), figure.at(0.0, 0.135, 0.47)
        canvas.shape(
            [shift(centre, x * half, y) for x, y in ((-1, -15), (1, -15), (1.1, 15), (-1.1, 15))], colour, 116, rim=1.5
        )
        canvas.shape(
            [shift(centre, x * half, y) for x, y in ((-1, -15), (1, -15), (0.9, 2), (-0.9, 2))], colour, 132, rim=1
        )

    return [(0.03, strap), (figure.depth(0.0, 0.15), pouch)]


def _handbag(figure: "Figure") -> list[Part]:
    colour, canvas = figure.identity.bag_colour, figure.canvas
    hand = figure.joint("right hand")
    half = figure.span(0.03, 0.08)

    def bag() -> None:
        canvas.line([shift(hand, -0.6 * half, 22), shift(hand, 0, 2), shift(hand, 0.6 * half, 22)], colour, 3)
        canvas.shape(
            [shift(hand, x * half, y) for x, y in ((-0.9, 20), (0.9, 20), (1.1, 52), (-1.1, 52))], colour, 118, rim=1.5
        )

    return [(float(figure.skeleton.joints["right hand"][2]) + 0.01, bag)]


PARTS: dict[str, Callable[["Figure"], list[Part]]] = {
    "none": lambda figure: [],
    "backpack": _backpack,
    "shoulder bag": _shoulder_bag,
    "handbag": _handbag,
}
