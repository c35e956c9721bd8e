"""Reads image files as RGB pixels, and says which file is at fault when that fails.

JPEG files go through simplejpeg (libjpeg-turbo, the fastest measured: docs/data.md, "feeding"); Pillow takes all else,
among it what simplejpeg will not read without a warning, since Pillow distinguishes harmless flaws from missing data.
Annotations refer to stored pixels, so `read_image` does not apply an EXIF orientation; `read_upright` does.
A few bytes can decode to many gigabytes: an image of more than `MAX_PIXELS` is refused by its header.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from spnet.errors import UserError

MAX_PIXELS = 150_000_000  # as the largest cameras have; 450 MB decoded
# without those that Pillow has another program decode (EPS), or that hold no photographs
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")

_JPEG_START = b"\xff\xd8\xff"


def read_image(path: Path, size: tuple[int, int], reduction: int = 1) -> tuple[npt.NDArray[np.uint8], int]:
    """The pixels of an image file, (H, W, 3) uint8 RGB, and how much smaller than the file they are.

    `size` is the width and height the annotations give; `reduction` (1, 2, 4 or 8) allows for an image so much
    smaller, which is faster to decode where the format has it (JPEG). Raises UserError for a file that is missing,
    unreadable, truncated, too large or of another size.
    """
    check_pixels(size, f"image {path}")
    with reading(path):
        data = path.read_bytes()
        reduced = _decode_jpeg(data, size, reduction) if data.startswith(_JPEG_START) else None
        return (reduced, reduction) if reduced is not None else (_decode_any(path, data, size), 1)


def read_upright(path: Path) -> npt.NDArray[np.uint8]:
    """RGB pixels (H, W, 3) of an image file, turned as its EXIF orientation says.

    Raises UserError for a file that is missing, no image or too large.
    """
    with reading(path), open_image(path, f"image {path}") as image:
        return turn_upright(image)


def turn_upright(image: Image.Image) -> npt.NDArray[np.uint8]:
    """RGB pixels (H, W, 3) of an opened image, turned as its EXIF orientation says."""
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one line why an image file cannot be read. Raises UserError."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise UserError(f"image {path} cannot be read: no known image format, or cut off in its header") from error
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"image {path} cannot be read: {' '.join(reason.split())}") from error


def check_pixels(size: tuple[int, int], name: str) -> None:
    """Raise UserError for an image of more than `MAX_PIXELS`, by its width and height."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise UserError(f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS:,} that are read")


@contextmanager
def open_image(source: Path | BinaryIO, name: str) -> Iterator[Image.Image]:
    """An image file opened with Pillow, not yet decoded. Raises UserError for one of too many pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(source, formats=FORMATS) as image:
            check_pixels(image.size, name)
            yield image


def _decode_jpeg(data: bytes, size: tuple[int, int], reduction: int) -> npt.NDArray[np.uint8] | None:
    """The pixels, if the file is flawless, of the right size and not for printing (CMYK)."""
    width, height = (-(-length // reduction) for length in size)
    try:
        found_height, found_width, colors, _ = simplejpeg.decode_jpeg_header(data)
        if (found_width, found_height) != size or colors not in ("YCbCr", "RGB", "Gray"):
            return None
        pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, min_height=height, min_width=width, min_factor=reduction
        )
        return pixels
    except (ValueError, KeyError):  # KeyError: a header without a known color sampling
        return None


def _decode_any(path: Path, data: bytes, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    with open_image(io.BytesIO(data), f"image {path}") as image:
        if image.size != size:
            found, annotated = (f"{width} x {height}" for width, height in (image.size, size))
            raise UserError(f"image {path} is {found} pixels, its annotations say {annotated}")
        return np.array(image.convert("RGB"))
