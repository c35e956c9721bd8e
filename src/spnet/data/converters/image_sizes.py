"""Sizes of many images from their headers: releases give none, and a missing image shows here first."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from spnet.errors import UserError

_THREADS = 8  # they wait for the disk, not for the processor


def read_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Width and height in pixels of every image, in order. Raises UserError for the first that cannot be read."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read_size, paths))


def read_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone. Raises UserError where there is no image."""
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise UserError(f"{path}: no such image") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
