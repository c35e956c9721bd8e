"""Street furniture that stands on the pavement and hides people: trees, lamps, bins, benches, signs, planters."""

from collections.abc import Callable

import numpy as np

from spnet.synthetic.canvas import Canvas, Sprite, shift

FURNITURE_SCALE = 72.0  # pixels of a sprite per meter


def _tree(random: np.random.Generator) -> Sprite:
    tall, wide = random.uniform(3.6, 5.2), random.uniform(1.9, 2.8)
    canvas = Canvas(round(wide * FURNITURE_SCALE), round(tall * FURNITURE_SCALE))
    middle, bottom = canvas.alpha.shape[1] / 2, canvas.alpha.shape[0]
    fork = (middle + random.uniform(-8, 8), 0.35 * bottom)
    canvas.limb((middle, bottom), fork, (0.11 * FURNITURE_SCALE, 0.07 * FURNITURE_SCALE), (96, 78, 62))
    leaf = np.array([[70, 112, 52], [94, 124, 58], [122, 118, 54], [58, 98, 66]])[random.integers(4)]
    for share in np.linspace(0, 1, 90):
        angle, radius = random.uniform(0, 2 * np.pi), np.sqrt(random.uniform(0, 1))
        x = middle + 0.4 * wide * FURNITURE_SCALE * radius * np.cos(angle)
        y = (0.34 + 0.27 * radius * np.sin(angle)) * bottom
        tone = np.clip(leaf * (0.62 + 0.55 * share) + random.integers(-9, 10, 3) + 16 * (0.34 - y / bottom), 0, 255)
        size = random.uniform(0.1, 0.24) * FURNITURE_SCALE
        angles = np.sort(random.uniform(0, 2 * np.pi, 9))
        blob = np.stack([np.cos(angles), np.sin(angles)], 1) * size * random.uniform(0.7, 1.15, (9, 1)) + [x, y]
        canvas.shape(blob, (int(tone[0]), int(tone[1]), int(tone[2])), 120 + round(14 * share))
    return canvas.finish()


def _lamp(random: np.random.Generator) -> Sprite:
    canvas = Canvas(round(0.9 * FURNITURE_SCALE), round(4.4 * FURNITURE_SCALE))
    middle, bottom = canvas.alpha.shape[1] / 2, canvas.alpha.shape[0]
    metal = (52, 58, 60) if random.random() < 0.6 else (120, 124, 126)
    canvas.limb((middle, bottom), (middle, bottom - 0.7 * FURNITURE_SCALE), (7, 5), metal)
    canvas.limb((middle, bottom), (middle, 26), (4, 3), metal)
    canvas.shape([(middle - 16, 26), (middle + 16, 26), (middle + 9, 2), (middle - 9, 2)], (226, 224, 208), 134)
    canvas.line([(middle - 16, 26), (middle + 16, 26)], metal, 3)
    return canvas.finish()


def _bin(random: np.random.Generator) -> Sprite:
    canvas = Canvas(round(0.6 * FURNITURE_SCALE), round(1.0 * FURNITURE_SCALE))
    width, bottom = canvas.alpha.shape[1], canvas.alpha.shape[0]
    paint = ((58, 82, 66), (70, 74, 78), (164, 92, 44), (48, 66, 104))[random.integers(4)]
    canvas.shape([(4, 16), (width - 4, 16), (width - 7, bottom), (7, bottom)], paint, 104)
    canvas.highlight([(9, 16), (width / 2, 16), (width / 2, bottom), (11, bottom)], 136)
    canvas.shape([(1, 7), (width - 1, 7), (width - 1, 17), (1, 17)], paint, 122, rim=1)
    canvas.shape([(12, 21), (width - 12, 21), (width - 12, 30), (12, 30)], (30, 30, 32))
    return canvas.finish()


def _bench(random: np.random.Generator) -> Sprite:
    canvas = Canvas(round(1.7 * FURNITURE_SCALE), round(0.9 * FURNITURE_SCALE))
    width, bottom = canvas.alpha.shape[1], canvas.alpha.shape[0]
    wood = (138, 98, 62) if random.random() < 0.7 else (96, 104, 88)
    for left in (10, width - 16):
        canvas.shape([(left, 4), (left + 6, 4), (left + 6, bottom), (left, bottom)], (46, 46, 50), 118)
    for top in (4, 16, 34, 41):
        canvas.shape([(2, top), (width - 2, top), (width - 2, top + 8), (2, top + 8)], wood, 134 - top // 2, rim=1)
    return canvas.finish()


def _sign(random: np.random.Generator) -> Sprite:
    canvas = Canvas(round(0.7 * FURNITURE_SCALE), round(2.6 * FURNITURE_SCALE))
    middle, bottom = canvas.alpha.shape[1] / 2, canvas.alpha.shape[0]
    canvas.limb((middle, bottom), (middle, 20), (2.5, 2.5), (132, 134, 136))
    paint = ((190, 38, 40), (34, 76, 160), (214, 170, 40))[random.integers(3)]
    if random.random() < 0.5:
        canvas.disc((middle, 24), (22, 22), paint)
        canvas.shape([(middle - 14, 20), (middle + 14, 20), (middle + 14, 28), (middle - 14, 28)], (236, 236, 232))
    else:
        canvas.shape([(middle - 20, 4), (middle + 20, 4), (middle + 20, 56), (middle - 20, 56)], paint)
        canvas.shape([(middle - 15, 9), (middle + 15, 9), (middle + 15, 30), (middle - 15, 30)], (236, 236, 232))
    return canvas.finish()


def _planter(random: np.random.Generator) -> Sprite:
    canvas = Canvas(round(1.2 * FURNITURE_SCALE), round(1.15 * FURNITURE_SCALE))
    width, bottom = canvas.alpha.shape[1], canvas.alpha.shape[0]
    stone = ((150, 144, 134), (124, 84, 66), (84, 86, 90))[random.integers(3)]
    canvas.shape([(6, 46), (width - 6, 46), (width - 12, bottom), (12, bottom)], stone, 110)
    canvas.highlight([(12, 46), (width / 2, 46), (width / 2, bottom), (16, bottom)], 134)
    flower = ((206, 62, 76), (226, 190, 70), (190, 120, 190), (236, 232, 226))[random.integers(4)]
    for _ in range(46):
        center = (random.uniform(14, width - 14), random.uniform(12, 46))
        size = random.uniform(4, 9)
        green = int(random.integers(86, 136))
        canvas.disc(center, (size, size), (green - 34, green, 52), int(random.integers(112, 138)))
    for _ in range(14):
        canvas.disc((random.uniform(12, width - 12), random.uniform(8, 40)), (3.2, 3.0), flower, 134)
    return canvas.finish()


def _bicycle(random: np.random.Generator) -> Sprite:
    canvas = Canvas(round(1.8 * FURNITURE_SCALE), round(1.05 * FURNITURE_SCALE))
    bottom = canvas.alpha.shape[0]
    paint = ((170, 44, 44), (44, 84, 140), (40, 42, 46), (70, 124, 84))[random.integers(4)]
    rear, front, axle = np.array([27, bottom - 26]), np.array([102, bottom - 26]), np.array([58, bottom - 24])
    saddle, bars = np.array([48, bottom - 62]), np.array([92, bottom - 66])
    circle = np.stack([np.cos(np.linspace(0, 2 * np.pi, 25)), np.sin(np.linspace(0, 2 * np.pi, 25))], 1)
    for hub in (rear, front):
        canvas.stroke(hub + 24 * circle, (34, 34, 36), 3)
        for spoke in circle[:24:4]:
            canvas.stroke([hub, hub + 23 * spoke], (128, 130, 132), 1)
    for path in ([rear, axle, saddle, rear], [axle, bars, saddle], [front, bars]):
        canvas.stroke(path, paint, 4)
    canvas.stroke([shift(saddle, -9, -3), shift(saddle, 7, -3)], (30, 30, 32), 5)
    canvas.stroke([bars, bars - [0, 7], bars - [10, 9]], (60, 62, 64), 3)
    return canvas.finish()


# each gives a sprite whose foot is in the middle of the last row
FURNITURE_RENDERERS: dict[str, Callable[[np.random.Generator], Sprite]] = {
    "tree": _tree,
    "lamp": _lamp,
    "bin": _bin,
    "bench": _bench,
    "sign": _sign,
    "planter": _planter,
    "bicycle": _bicycle,
}
