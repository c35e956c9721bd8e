"""One image of many annotated scenes: the quickest way to see that boxes and identities are where they should be."""

import colorsys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from spnet.data.decode import read_image
from spnet.data.schema import Annotations
from spnet.errors import UserError

TILE = (480, 360)  # width, height in pixels
ACROSS = 4
TILES = 16
GREY = (150, 150, 150)


def render_contact_sheet(splits: Mapping[str, Annotations]) -> Image.Image:
    """Evenly spaced scenes of the splits, side by side; a known person has a colour and its number, an unknown is grey.

    Raises UserError if an image cannot be read.
    """
    chosen = _choose(splits)
    rows = -(-len(chosen) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * TILE[0], rows * TILE[1]))
    for place, (name, row) in enumerate(chosen):
        sheet.paste(_draw_scene(name, splits[name], row), (place % ACROSS * TILE[0], place // ACROSS * TILE[1]))
    return sheet


def save_contact_sheet(splits: Mapping[str, Annotations], path: Path) -> None:
    """Draw the sheet and write it as JPEG; the file appears complete, or not at all. Raises UserError."""
    sheet = render_contact_sheet(splits)
    partial = path.with_name(f".{path.name}.partial")
    try:
        sheet.save(partial, "JPEG", quality=90)
        partial.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _choose(splits: Mapping[str, Annotations]) -> list[tuple[str, int]]:
    """(split, row of a scene with persons), as many of each split; others of each, as splits may be parts of others."""
    share = max(1, TILES // len(splits))
    chosen = []
    for number, (name, split) in enumerate(splits.items()):
        rows = np.unique(split.box_scene)
        tiles = min(share, len(rows))
        places = (np.arange(tiles) + (number + 0.5) / len(splits)) * len(rows) / tiles
        chosen += [(name, row) for row in rows[places.astype(int)].tolist()]
    return chosen


def _draw_scene(name: str, split: Annotations, row: int) -> Image.Image:
    width, height = split.sizes[row].tolist()
    pixels, _ = read_image(split.image_root / split.file_names[row], (width, height))
    scale = min(TILE[0] / width, TILE[1] / height)
    tile = Image.new("RGB", TILE)
    tile.paste(Image.fromarray(pixels).resize((max(1, round(width * scale)), max(1, round(height * scale)))))
    draw = ImageDraw.Draw(tile)
    for box in np.flatnonzero(split.box_scene == row):
        left, top, right, bottom = (split.boxes[box] * scale).tolist()
        person, known = int(split.person_ids[box]), bool(split.is_known[box])
        colour = _colour(person) if known else GREY
        draw.rectangle((left, top, right, bottom), outline=colour, width=2)
        if known:
            _label(draw, (left, max(0, top - 12)), str(person), colour)
    _label(draw, (0, 0), f"{name}: {split.file_names[row]}", (255, 255, 255))
    return tile


def _label(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
    draw.rectangle(draw.textbbox(place, text), fill=(0, 0, 0))
    draw.text(place, text, fill=colour)


def _colour(person: int) -> tuple[int, int, int]:
    """A bright colour of its own for each of neighbouring numbers."""
    red, green, blue = colorsys.hsv_to_rgb(person * 0.61803 % 1, 0.8, 1)  # golden ratio: neighbours differ most
    return round(red * 255), round(green * 255), round(blue * 255)
