"""A file to index as the row that its index keeps of it: camera, clock time, and the digest of its content."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from spnet.data.sources import kind_of
from spnet.data.video import read_info
from spnet.errors import UserError
from spnet.gallery.schema import SourceRow

SAMPLE, SAMPLES = 2**18, 16  # bytes, places: what is hashed of a large video
EXIF, TAKEN, CHANGED = 0x8769, 0x9003, 0x0132


def make_source(file: Path, fps: float | None, camera: str | None, start: float | None, tracks: bool) -> SourceRow:
    """The row of a file that is still to be indexed. Raises UserError for a video that cannot be read.

    Without `camera` that is a video's name, an image's folder; without `start` (seconds since 1970 UTC) the clock time
    of its beginning is what the file says, if anything.
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
    )


def make_sources(
    files: Sequence[Path],
    known: Sequence[SourceRow],
    fps: float | None,
    camera: str | None,
    start: float | None,
    tracks: bool,
) -> tuple[list[SourceRow], list[str]]:
    """The rows of files (`make_source`), `known` ones as they are; and a line for each that cannot be read."""
    rows = {row.id: row for row in known}
    wanted, unreadable = [], []
    for file in files:
        try:
            source = make_source(file, fps, camera, start, tracks)
        except UserError as error:
            unreadable.append(str(error))
        else:
            wanted.append(rows.setdefault(source.id, source))
    return wanted, unreadable


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


def _time_taken(file: Path) -> float | None:
    """An image's EXIF time, taken as UTC: it has no zone."""
    try:
        with Image.open(file) as image:
            tags = image.getexif()
            text = tags.get_ifd(EXIF).get(TAKEN) or tags.get(CHANGED)
        return datetime.strptime(str(text), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp() if text else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
