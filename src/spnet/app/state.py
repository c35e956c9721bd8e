"""What one running app holds: the index, the searches and uploads of its page, its jobs."""

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from spnet.app.jobs import Jobs
from spnet.errors import UserError
from spnet.gallery.gallery import Gallery
from spnet.gallery.lance import local_folder
from spnet.gallery.query import Box
from spnet.gallery.results import SearchResult
from spnet.gallery.schema import SourceRow
from spnet.gallery.sources import content_digest
from spnet.inference.images import ImageLike, read_pixels

Pixels = npt.NDArray[np.uint8]
Item = TypeVar("Item")
LOG = "log.jsonl"
UPLOAD_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
UPLOAD_PIXELS = 40_000_000
KEPT_UPLOADS, KEPT_SEARCHES = 8, 40
LONGEST_PURPOSE = 500


class Kept(OrderedDict[str, Item]):
    """The last few items by an id that cannot be guessed."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def add(self, item: Item) -> str:
        """Keep an item and return its id."""
        identity = token_hex(8)
        self[identity] = item
        while len(self) > self._most:
            self.popitem(last=False)
        return identity


@dataclass(frozen=True)
class Search:
    """A search of the page: what was found, and the queries as images with a box."""

    result: SearchResult
    queries: Sequence[tuple[ImageLike, Box]]


@dataclass
class AppState:
    """Shared by all requests. `gallery` is used under `lock`; a job opens its own by `open_gallery`."""

    gallery: Gallery
    open_gallery: Callable[[], Gallery]
    may_add: bool  # sources, by a path on this machine
    retention: str | None = None
    lock: RLock = field(default_factory=RLock)
    jobs: Jobs = field(default_factory=Jobs)
    searches: Kept[Search] = field(default_factory=lambda: Kept(KEPT_SEARCHES))
    uploads: Kept[Pixels] = field(default_factory=lambda: Kept(KEPT_UPLOADS))  # in memory, never on disk
    _exports: TemporaryDirectory[str] = field(default_factory=lambda: TemporaryDirectory(prefix="spnet-"))
    _unchanged: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the purpose."""
        folder = local_folder(self.gallery.uri)
        self.log_file = None if folder is None else folder / LOG  # an index on an object store has none
        self.purpose: str | None = self.gallery.store.about().get("purpose")

    @property
    def exports(self) -> Path:
        """A folder that is removed when the app ends."""
        return Path(self._exports.name)

    def set_purpose(self, text: str) -> None:
        """Keep with the index what it is searched for. Raises UserError for an empty or very long text."""
        text = " ".join(text.split())
        if not 5 <= len(text) <= LONGEST_PURPOSE:
            raise UserError(f"purpose: write 5 to {LONGEST_PURPOSE} letters")
        with self.lock, self.gallery.store.lock():
            self.gallery.store.set_about(purpose=text, purpose_since=f"{datetime.now(UTC):%Y-%m-%d %H:%M}")
        self.purpose = text
        self.log("purpose")

    def log(self, action: str, **what: object) -> None:
        """Append what was done, when (UTC) and why to the index's log. Raises UserError where it cannot be written."""
        if self.log_file is not None:
            time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            _append_json(self.log_file, {"time": time, "action": action, "purpose": self.purpose, **what})

    def source(self, identity: str) -> SourceRow | None:
        """A file of the index."""
        with self.lock:
            return next((row for row in self.gallery.sources() if row.id == identity), None)

    def check_unchanged(self, source: SourceRow) -> None:
        """Raise UserError unless a file still holds what was indexed: nothing else is shown, whatever its path is now.

        So a link that was put in its place serves nothing.
        """
        try:
            stat = Path(source.file).stat()
        except OSError as error:
            raise UserError(f"{source.file}: cannot be read: {error.strerror}") from None
        mark = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self._unchanged.get(source.id) != mark:
            if content_digest(Path(source.file)) != source.id:
                raise UserError(f"{source.file}: has changed since it was indexed")
            self._unchanged[source.id] = mark

    def close(self) -> None:
        """Stop all work, forget uploads and exports."""
        self.jobs.close()
        self._exports.cleanup()


def _append_json(file: Path, record: dict[str, object]) -> None:
    """Append a line, never anything else. Raises UserError."""
    data = f"{json.dumps(record, ensure_ascii=False)}\n".encode()
    try:
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.write(handle, data)  # one call: lines of several processes do not mix
        finally:
            os.close(handle)
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror}") from None


def decode_upload(data: bytes) -> Pixels:
    """Pixels (H, W, 3) of an image file's bytes. Raises UserError for anything but a whole image of a usual size."""
    try:
        with Image.open(BytesIO(data), formats=UPLOAD_FORMATS) as image:
            if image.width * image.height > UPLOAD_PIXELS:
                raise UserError(f"the image has more than {UPLOAD_PIXELS // 10**6} million pixels")
            return read_pixels(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise UserError(f"no image that can be read; known are {', '.join(UPLOAD_FORMATS)}") from None


def as_people(boxes: Sequence[Any], scores: Sequence[float], tracklets: Sequence[str | None]) -> list[dict[str, Any]]:
    """Boxes (4,) in pixels as the page has them."""
    return [
        {"box": [round(float(side), 1) for side in box], "score": round(float(score), 3), "tracklet": tracklet}
        for box, score, tracklet in zip(boxes, scores, tracklets, strict=True)
    ]
