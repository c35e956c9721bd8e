"""The surfaces of a street, painted flat: the ground from above and the row of houses from the front."""

import cv2
import numpy as np
import numpy.typing as npt

from spnet.synthetic.camera import ImageArray
from spnet.synthetic.identity import Color

GROUND_SCALE, WALL_SCALE = 36, 30  # pixels per meter
GROUND_NEAR, GROUND_FAR = -2.0, 46.0  # meters along the street
WALL_TOP = 15.0

_WALLS: tuple[Color, ...] = (
    (150, 88, 70), (188, 170, 146), (206, 198, 186), (128, 122, 118), (166, 120, 92), (196, 178, 128), (142, 150, 156),
    (112, 74, 62), (176, 186, 180),
)  # fmt: skip
_ACCENTS: tuple[Color, ...] = (
    (150, 42, 44), (36, 76, 60), (38, 58, 104), (44, 44, 48), (196, 150, 60), (96, 60, 104), (40, 112, 120),
    (206, 200, 190),
)  # fmt: skip
_WORDS = (
    "CAFE", "BAKERY", "BOOKS", "FLOWERS", "PHARMACY", "HOTEL", "OPTIK", "PIZZA", "BANK", "SHOES", "MARKET", "TEA",
    "BAR", "CYCLES",
)  # fmt: skip


def paint_ground(random: np.random.Generator, road: float, wall: float) -> ImageArray:
    """Road, kerbs and pavement from above: rows along z from GROUND_NEAR, columns across x from -wall to wall."""
    rows, columns = round((GROUND_FAR - GROUND_NEAR) * GROUND_SCALE), round(2 * wall * GROUND_SCALE)
    ground = np.empty((rows, columns, 3), np.uint8)
    ground[:] = np.uint8(random.integers(104, 132))
    left, right = (round((wall + side * road) * GROUND_SCALE) for side in (-1, 1))
    for edge, end in ((0, left), (right, columns)):
        ground[:, edge:end] = _slabs(random, rows, end - edge)
    _patches(random, ground[:, left:right])
    _markings(random, ground, left, right)
    kerb = GROUND_SCALE // 6
    for edge, gutter in ((left, 1), (right, -1)):
        ground[:, edge - kerb : edge + kerb] = (178, 176, 170)
        middle = edge + gutter * 2 * kerb
        ground[:, middle - kerb : middle + kerb] = (72, 72, 74)
    return _roughen(random, ground, 7.0)


def _slabs(random: np.random.Generator, rows: int, columns: int) -> ImageArray:
    size = round(random.choice([0.5, 0.75, 1.0]) * GROUND_SCALE)
    base = np.array([[150, 147, 140], [164, 156, 146], [138, 140, 142], [156, 138, 122]])[random.integers(4)]
    tiles = base + random.normal(0, 5, (rows // size + 1, columns // size + 1, 1))
    large = cv2.resize(tiles.astype(np.uint8), None, fx=size, fy=size, interpolation=cv2.INTER_NEAREST)
    slabs = np.asarray(large[:rows, :columns], np.uint8)
    slabs[::size] = slabs[:, ::size] = (base * 0.8).astype(np.uint8)
    return slabs


def _patches(random: np.random.Generator, road: ImageArray) -> None:
    """Patched asphalt, cracks and manholes."""
    rows, columns = road.shape[:2]
    for _ in range(10):
        x, y = int(random.integers(columns)), int(random.integers(rows))
        gray = int(random.integers(88, 136))
        cv2.rectangle(
            road, (x, y), (x + int(random.integers(20, 90)), y + int(random.integers(30, 160))), (gray,) * 3, -1
        )
    for _ in range(14):
        steps = np.cumsum(random.integers(-9, 10, (12, 2)), 0) + random.integers(0, (columns, rows))
        cv2.polylines(road, [steps.astype(np.int32)], False, (62, 62, 64), 1)
    for _ in range(4):
        center = (int(random.integers(columns)), int(random.integers(rows)))
        cv2.circle(road, center, GROUND_SCALE // 3, (58, 56, 54), -1)
        cv2.circle(road, center, GROUND_SCALE // 3 - 2, (92, 90, 86), 2)


def _markings(random: np.random.Generator, ground: ImageArray, left: int, right: int) -> None:
    white = (214, 214, 206)
    middle, thick = (left + right) // 2, GROUND_SCALE // 8
    for start in range(0, ground.shape[0], 4 * GROUND_SCALE):
        ground[start : start + 2 * GROUND_SCALE, middle - thick // 2 : middle + thick] = white
    crossing = round((random.uniform(5, 14) - GROUND_NEAR) * GROUND_SCALE)
    for stripe in range(left + GROUND_SCALE // 2, right - GROUND_SCALE // 2, GROUND_SCALE):
        ground[crossing : crossing + 3 * GROUND_SCALE, stripe : stripe + GROUND_SCALE // 2] = white


def paint_walls(random: np.random.Generator, length: float) -> tuple[ImageArray, npt.NDArray[np.uint8]]:
    """A row of houses (WALL_TOP high, `length` long) and where it covers the sky; the first row is the top."""
    rows, columns = round(WALL_TOP * WALL_SCALE), round(length * WALL_SCALE)
    front, cover = np.zeros((rows, columns, 3), np.uint8), np.zeros((rows, columns), np.uint8)
    start = 0
    while start < columns:
        width = min(round(random.uniform(5, 11) * WALL_SCALE), columns - start)
        tall = round(random.uniform(6.5, 14.0) * WALL_SCALE)
        house = _house(random, width, tall)
        front[rows - tall :, start : start + width] = house
        cover[rows - tall :, start : start + width] = 255
        start += width
    return _roughen(random, front, 5.0), cover


def _house(random: np.random.Generator, width: int, tall: int) -> ImageArray:
    wall = np.array(_WALLS[random.integers(len(_WALLS))]) + random.integers(-12, 13)
    house = np.empty((tall, width, 3), np.uint8)
    house[:] = np.clip(wall, 0, 255)
    if random.random() < 0.5:
        house[::5] = np.clip(wall * 0.88, 0, 255)
    house[: WALL_SCALE // 3] = np.clip(wall * 0.7, 0, 255)
    house[WALL_SCALE // 3 : WALL_SCALE // 2] = np.clip(wall * 1.15, 0, 255)
    house[:, -3:] = np.clip(wall * 0.72, 0, 255)
    ground_floor = round(3.4 * WALL_SCALE)
    _windows(random, house[: tall - ground_floor], wall)
    if random.random() < 0.72 and width > 3 * WALL_SCALE:
        _shop(random, house[tall - ground_floor :])
    else:
        _windows(random, house[tall - ground_floor :], wall)
        _door(random, house[tall - ground_floor :])
    return house


def _windows(random: np.random.Generator, area: ImageArray, wall: npt.NDArray[np.int64]) -> None:
    floor, bay = round(3.0 * WALL_SCALE), round(random.uniform(1.6, 2.5) * WALL_SCALE)
    wide, tall = round(bay * random.uniform(0.45, 0.62)), round(random.uniform(1.3, 1.8) * WALL_SCALE)
    frame = (232, 230, 224) if random.random() < 0.6 else (70, 60, 54)
    for bottom in range(area.shape[0] - WALL_SCALE // 2, tall + WALL_SCALE // 2, -floor):
        for left in range((bay - wide) // 2, area.shape[1] - wide - 3, bay):
            glass = np.array([70, 86, 100]) + random.integers(-24, 40)
            box = area[bottom - tall : bottom, left : left + wide]
            box[:] = np.linspace(1.25, 0.75, tall)[:, None, None] * glass
            if random.random() < 0.45:  # curtains
                curtain = (205, 196, 180) if random.random() < 0.6 else (150, 120, 110)
                box[:, : wide // 4] = box[:, -(wide // 4) :] = curtain
            cv2.rectangle(area, (left, bottom - tall), (left + wide, bottom), frame, 2)
            cv2.line(area, (left + wide // 2, bottom - tall), (left + wide // 2, bottom), frame, 1)
            cv2.line(area, (left, bottom - 2 * tall // 3), (left + wide, bottom - 2 * tall // 3), frame, 1)
            cv2.rectangle(area, (left - 3, bottom), (left + wide + 3, bottom + 3), tuple((wall * 0.75).tolist()), -1)


def _shop(random: np.random.Generator, area: ImageArray) -> None:
    """Show windows with goods, a door, a sign and perhaps an awning."""
    tall, width = area.shape[:2]
    accent, other = (_ACCENTS[i] for i in random.choice(len(_ACCENTS), 2, replace=False))
    sign, base = round(0.75 * WALL_SCALE), round(0.45 * WALL_SCALE)
    area[:] = np.array(accent) * 0.75
    glass = area[sign : tall - base, 6 : width - 6]
    glass[:] = np.linspace(60, 120, glass.shape[0])[:, None, None] * np.array([1.0, 1.04, 1.05])
    for _ in range(width // 9):
        x, y = int(random.integers(glass.shape[1])), int(random.integers(glass.shape[0] // 3, glass.shape[0]))
        gray = random.uniform(50, 190)
        color = tuple((gray + random.uniform(-34, 34, 3)).tolist())
        cv2.rectangle(glass, (x, y), (x + int(random.integers(3, 14)), y + int(random.integers(4, 20))), color, -1)
    for pane in range(0, glass.shape[1], round(1.3 * WALL_SCALE)):
        cv2.line(glass, (pane, 0), (pane, glass.shape[0]), tuple(int(0.5 * level) for level in accent), 3)
    door = int(random.integers(8, max(9, width - 2 * WALL_SCALE)))
    cv2.rectangle(area, (door, sign + 6), (door + WALL_SCALE, tall), tuple(int(0.6 * level) for level in other), -1)
    cv2.rectangle(area, (door + 5, sign + 12), (door + WALL_SCALE - 5, tall - 20), (122, 136, 142), -1)
    cv2.rectangle(area, (0, 0), (width, sign), accent, -1)
    light: Color = (240, 232, 210) if sum(accent) < 400 else (40, 40, 46)
    word = _WORDS[random.integers(len(_WORDS))]
    cv2.putText(area, word, (width // 8, round(0.72 * sign)), cv2.FONT_HERSHEY_DUPLEX, sign / 34, light, 1, cv2.LINE_AA)
    if random.random() < 0.5:
        for stripe in range(0, width, 10):
            cv2.rectangle(area, (stripe, sign), (stripe + 5, sign + 20), other, -1)
            cv2.rectangle(area, (stripe + 5, sign), (stripe + 10, sign + 20), (226, 222, 212), -1)
        area[sign + 20 : sign + 26] = area[sign + 20 : sign + 26] // 2


def _door(random: np.random.Generator, area: ImageArray) -> None:
    tall, width = area.shape[:2]
    left = int(random.integers(0, max(1, width - WALL_SCALE)))
    color = _ACCENTS[random.integers(len(_ACCENTS))]
    top = tall - round(2.2 * WALL_SCALE)
    cv2.rectangle(area, (left - 4, top - 4), (left + WALL_SCALE + 4, tall), (206, 200, 190), -1)
    cv2.rectangle(area, (left, top), (left + WALL_SCALE, tall), color, -1)
    cv2.rectangle(area, (left + 5, top + 6), (left + WALL_SCALE - 5, top + 26), (84, 96, 104), -1)


def _roughen(random: np.random.Generator, image: ImageArray, strength: float) -> ImageArray:
    """Grain and stains, so that no surface is one flat color."""
    rows, columns = image.shape[:2]
    grain = random.normal(0, strength, (rows // 2 + 1, columns // 2 + 1)).astype(np.float32)
    stains = random.normal(0, strength, (rows // 40 + 2, columns // 40 + 2)).astype(np.float32)
    grain = cv2.resize(grain, (columns, rows)) + cv2.resize(stains, (columns, rows), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.add(image, cv2.merge([grain, grain, grain]), dtype=cv2.CV_8U), np.uint8)
