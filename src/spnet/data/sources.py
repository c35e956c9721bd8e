"""Images, folders, patterns and videos that a person names, as files, and the pixels of a file."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from spnet.data.decode import read_upright
from spnet.data.video import VIDEO_SUFFIXES, Frame, is_address, read_frame, read_frames
from spnet.errors import UserError

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"))
Kind = Literal["image", "video"]


def find_files(given: Sequence[str | Path]) -> list[Path]:
    """The images and videos that files, folders (at any depth) and patterns name, each once, in the order given.

    Raises:
        UserError: a name that stands for nothing, a folder without images and videos, a file that is neither.
    """
    files = [file for name in given for file in _expand(str(name))]
    return list(dict.fromkeys(file.absolute() for file in files))


def kind_of(file: Path) -> Kind | None:
    """What a file is by its name, None if neither an image nor a video."""
    suffix = file.suffix.lower()
    return "image" if suffix in IMAGE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def read_file(
    file: str | Path, fps: float | None = None, begin: float = 0.0, end: float | None = None
) -> Iterator[Frame]:
    """The frames of a video or a stream as `read_frames` has them; of an image the one there is. Raises UserError."""
    if is_address(file) or kind_of(Path(file)) == "video":
        yield from read_frames(file, fps, begin, end)
    else:
        yield Frame(0.0, read_upright(Path(file)))


def read_file_at(file: str | Path, time: float) -> npt.NDArray[np.uint8]:
    """Pixels (H, W, 3) of an image, or of a video's frame at or next after `time` seconds. Raises UserError."""
    return read_frame(Path(file), time).pixels if kind_of(Path(file)) == "video" else read_upright(Path(file))


def _expand(name: str) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if kind_of(file) and _is_shown(file, path) and file.is_file())
        if not files:
            raise UserError(f"folder {name}: there are no images and no videos in it")
        yield from files
    elif path.exists():
        if kind_of(path) is None:
            known = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
            raise UserError(f"{name}: neither an image nor a video; known are {known}")
        yield path
    else:
        files = [Path(found) for found in sorted(glob.glob(name, recursive=True)) if kind_of(Path(found))]
        if not files:
            raise UserError(f"{name}: no such file, folder or pattern of images and videos")
        yield from files


def _is_shown(file: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)
