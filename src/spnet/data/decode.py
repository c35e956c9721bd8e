"""Reads picture files as RGB pixels, and says which file is at fault when that fails.

JPEG files go through simplejpeg (libjpeg-turbo, the fastest measured: docs/data.md), everything it does not take
through Pillow. Pixels are those stored: an EXIF orientation is not applied, since annotations refer to stored pixels.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from spnet.errors import UserError

JPEG_MAGIC = b"\xff\xd8\xff"


def read_picture(path: Path, size: tuple[int, int], reduction: int = 1) -> tuple[np.ndarray, int]:
    """The pixels of a picture file, (H, W, 3) uint8 RGB, and how much smaller than the file they are.

    `size` is the width and height the annotations give; `reduction` (1, 2, 4 or 8) allows for a picture so much
    smaller, which JPEG files decode to faster. Raises UserError for a file that is missing, unreadable, truncated or
    of another size.
    """
    try:
        data = path.read_bytes()
        if data.startswith(JPEG_MAGIC):
            _check_size(path, size, simplejpeg.decode_jpeg_header(data, strict=False)[1::-1])
            fast = _decode_jpeg(data, size, reduction)
            if fast is not None:
                return fast, reduction
        return _decode_any(path, data, size), 1
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"image {path} cannot be read: {_reason(error)}") from error


def _decode_jpeg(data: bytes, size: tuple[int, int], reduction: int) -> np.ndarray | None:
    """What simplejpeg makes of the file without a single warning, or nothing; Pillow then tells flaws from damage."""
    width, height = (-(-length // reduction) for length in size)
    try:
        return simplejpeg.decode_jpeg(data, min_height=height, min_width=width, min_factor=reduction)
    except ValueError:
        return None


def _decode_any(path: Path, data: bytes, size: tuple[int, int]) -> np.ndarray:
    with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as picture:
        warnings.simplefilter("ignore")
        _check_size(path, size, picture.size)
        return np.array(picture.convert("RGB"))


def _check_size(path: Path, annotated: tuple[int, int], found: tuple[int, ...]) -> None:
    if annotated != tuple(found):
        raise UserError(
            f"image {path} is {found[0]} x {found[1]} pixels, its annotations say {annotated[0]} x {annotated[1]}"
        )


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.replace("<_io.BytesIO object", "<data").split())
