"""Sizes of many pictures from their headers: releases give none, and a missing picture shows here first."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from spnet.errors import UserError

THREADS = 8  # they wait for the disk, not for the processor


def read_sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Width and height in pixels of every picture, in order. Raises UserError for the first that cannot be read."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read_size, paths))


def read_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone. Raises UserError where there is no picture."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except FileNotFoundError:
        raise UserError(f"{path}: no such picture") from None
    except Image.UnidentifiedImageError:
        raise UserError(f"{path}: not a picture") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
