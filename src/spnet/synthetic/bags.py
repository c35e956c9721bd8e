"""What people carry: backpacks, shoulder bags and handbags."""

from collections.abc import Callable

from spnet.synthetic.canvas import Points, shift
from spnet.synthetic.person_canvas import Part, PersonCanvas


def bag_parts(person: PersonCanvas) -> list[Part]:
    """The bag of this person as parts to sort by depth; none for people without one."""
    return BAG_PARTS[person.identity.bag](person)


def _backpack(person: PersonCanvas) -> list[Part]:
    color, canvas = person.identity.bag_color, person.canvas
    half = person.span(0.085, 0.05)
    top, bottom = person.at(-0.1, 0, 0.81), person.at(-0.11, 0, 0.57)
    down = bottom - top

    def outline(shares: list[tuple[float, float]]) -> list[Points]:
        """Points by (half widths to the right, share of the way down)."""
        return [shift(top + way * down, right * half, 0) for right, way in shares]

    def pack() -> None:
        canvas.shape(outline([(-0.8, 0), (0.8, 0), (1, 0.2), (1, 1), (-1, 1), (-1, 0.2)]), color, 112, rim=1.5)
        canvas.highlight(outline([(-0.5, 0.05), (0.2, 0.05), (0.2, 1), (-0.6, 1)]), 140)
        canvas.shape(outline([(-0.8, 0.55), (0.8, 0.55), (0.8, 0.93), (-0.8, 0.93)]), color, 120, rim=1)

    def straps() -> None:
        for left in (-0.065, 0.065):
            points = [(-0.02, left, 0.835), (0.075, left, 0.79), (0.08, left, 0.7), (0.02, left, 0.63)]
            canvas.line(person.patch(points), color, 5)

    seen_in_front: list[Part] = [(0.012, straps)] if person.depth(1.0) > 0.2 else []
    return [(person.depth(-0.12), pack), *seen_in_front]


def _shoulder_bag(person: PersonCanvas) -> list[Part]:
    color, canvas = person.identity.bag_color, person.canvas

    def strap() -> None:
        front = 1.0 if person.depth(1.0) > 0 else -1.0
        canvas.line(person.patch([(0.04 * front, -0.07, 0.835), (0.07 * front, 0.02, 0.67), (0, 0.12, 0.52)]), color, 4)

    def pouch() -> None:
        half, center = person.span(0.045, 0.085), person.at(0.0, 0.135, 0.47)
        _trapezoid(person, center, (half, 1.1 * half), (-15, 15), 116)
        _trapezoid(person, center, (half, 0.9 * half), (-15, 2), 132)

    return [(0.018, strap), (person.depth(0.0, 0.15), pouch)]


def _handbag(person: PersonCanvas) -> list[Part]:
    hand, half = person.joint("right hand"), person.span(0.03, 0.08)

    def bag() -> None:
        handle = [shift(hand, -0.6 * half, 16), shift(hand, 0, 2), shift(hand, 0.6 * half, 16)]
        person.canvas.line(handle, person.identity.bag_color, 3)
        _trapezoid(person, hand, (0.9 * half, 1.1 * half), (14, 46), 118)

    return [(person.joint_depth("right hand") + 0.006, bag)]


def _trapezoid(
    person: PersonCanvas, at: Points, halves: tuple[float, float], rows: tuple[float, float], light: int
) -> None:
    """A bag's face: half as wide as `halves` above and below, between two rows; pixels from `at`."""
    (above, below), (top, bottom) = halves, rows
    corners = [shift(at, -above, top), shift(at, above, top), shift(at, below, bottom), shift(at, -below, bottom)]
    person.canvas.shape(corners, person.identity.bag_color, light, rim=1.5)


BAG_PARTS: dict[str, Callable[[PersonCanvas], list[Part]]] = {
    "none": lambda person: [],
    "backpack": _backpack,
    "shoulder bag": _shoulder_bag,
    "handbag": _handbag,
}
