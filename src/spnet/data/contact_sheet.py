"""One image of many annotated scenes, to check by eye that boxes and identities are right."""

import colorsys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from spnet.data.decode import read_image
from spnet.data.schema import Annotations
from spnet.files import atomic_write

TILE = (480, 360)  # width, height in pixels
COLUMNS = 4
_TILES = 16
_UNKNOWN_COLOR = (150, 150, 150)
_JPEG_QUALITY = 90


def render_contact_sheet(splits: Mapping[str, Annotations]) -> Image.Image:
    """Render evenly spaced scenes of the splits side by side: known persons in a color with their number, unknown gray.

    Raises UserError if an image cannot be read.
    """
    chosen = _choose_scenes(splits)
    rows = -(-len(chosen) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE[0], rows * TILE[1]))
    for index, (name, row) in enumerate(chosen):
        sheet.paste(_render_scene(name, splits[name], row), (index % COLUMNS * TILE[0], index // COLUMNS * TILE[1]))
    return sheet


def save_contact_sheet(splits: Mapping[str, Annotations], path: Path) -> None:
    """Render the sheet and write it as JPEG. Raises UserError where an image cannot be read or the file not written."""
    sheet = render_contact_sheet(splits)
    with atomic_write(path) as stream:
        sheet.save(stream, "JPEG", quality=_JPEG_QUALITY)


def _choose_scenes(splits: Mapping[str, Annotations]) -> list[tuple[str, int]]:
    """Choose (split, row of a scene with persons): as many of each split, at different rows, as splits may overlap."""
    share = max(1, _TILES // len(splits))
    chosen = []
    for number, (name, split) in enumerate(splits.items()):
        rows = np.unique(split.box_scene)
        tiles = min(share, len(rows))
        rows_at = (np.arange(tiles) + (number + 0.5) / len(splits)) * len(rows) / tiles
        chosen += [(name, row) for row in rows[rows_at.astype(int)].tolist()]
    return chosen


def _render_scene(name: str, split: Annotations, row: int) -> Image.Image:
    width, height = split.sizes[row].tolist()
    pixels, _ = read_image(split.image_root / split.file_names[row], (width, height))
    scale = min(TILE[0] / width, TILE[1] / height)
    tile = Image.new("RGB", TILE)
    tile.paste(Image.fromarray(pixels).resize((max(1, round(width * scale)), max(1, round(height * scale)))))
    draw = ImageDraw.Draw(tile)
    for box in np.flatnonzero(split.box_scene == row):
        left, top, right, bottom = (split.boxes[box] * scale).tolist()
        person, known = int(split.person_ids[box]), bool(split.is_known[box])
        color = _color(person) if known else _UNKNOWN_COLOR
        draw.rectangle((left, top, right, bottom), outline=color, width=2)
        if known:
            _label(draw, (left, max(0, top - 12)), str(person), color)
    _label(draw, (0, 0), f"{name}: {split.file_names[row]}", (255, 255, 255))
    return tile


def _label(draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, color: tuple[int, int, int]) -> None:
    draw.rectangle(draw.textbbox(corner, text), fill=(0, 0, 0))
    draw.text(corner, text, fill=color)


def _color(person: int) -> tuple[int, int, int]:
    """A bright color, far from those of the neighboring numbers."""
    red, green, blue = colorsys.hsv_to_rgb(person * 0.61803 % 1, 0.8, 1)  # golden ratio: neighbors differ most
    return round(red * 255), round(green * 255), round(blue * 255)
