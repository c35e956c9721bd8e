"""Images, folders, patterns and videos that a person names, as the files to index."""

import glob
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from PIL import Image

from spnet.data.video import VIDEO_SUFFIXES, read_info
from spnet.errors import UserError
from spnet.gallery.schema import SourceRow

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"))
SAMPLE, SAMPLES = 2**18, 16  # bytes, places: what is hashed of a large video
EXIF, TAKEN, CHANGED = 0x8769, 0x9003, 0x0132
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


def make_source(file: Path, fps: float | None, camera: str | None, start: float | None, tracks: bool) -> SourceRow:
    """The row of a file that is still to be indexed.

    Args:
        file: an image or a video.
        fps: frames a second to read of a video, None for all.
        camera: its name; not given: a video's name, an image's folder.
        start: clock time of its beginning, seconds since 1970 UTC; not given: what the file says, if anything.
        tracks: link a video's detections.

    Raises:
        UserError: a video that cannot be read.
    """
    video = kind_of(file) == "video"
    info = read_info(file) if video else None
    said = info.created if info else _time_taken(file)
    return SourceRow(
        id=content_digest(file),
        file=str(file),
        kind="video" if video else "image",
        camera=camera or (file.stem if video else file.parent.name or "images"),
        start=said if start is None else start,
        fps=fps if video else None,
        tracks=tracks and video,
        duration=info.duration if info else None,
        next_time=0.0,
        parts=0,
        done=False,
        frames=0,
        width=0,
        height=0,
    )


def content_digest(file: Path) -> str:
    """Digest of what a file holds: all of an image, evenly spaced samples of a large video. Raises UserError."""
    try:
        with file.open("rb") as stream:
            size = file.stat().st_size
            if kind_of(file) == "image" or size <= SAMPLE * SAMPLES:
                return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
            digest = hashlib.sha256(str(size).encode())
            for place in range(SAMPLES):
                stream.seek((size - SAMPLE) * place // (SAMPLES - 1))
                digest.update(stream.read(SAMPLE))
            return digest.hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None


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


def _time_taken(file: Path) -> float | None:
    """An image's EXIF time, taken as UTC: it has no zone."""
    try:
        with Image.open(file) as image:
            tags = image.getexif()
            text = tags.get_ifd(EXIF).get(TAKEN) or tags.get(CHANGED)
        return datetime.strptime(str(text), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp() if text else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
