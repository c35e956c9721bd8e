"""Indexes files: decode, detect and embed, link, write. Decoding runs ahead in another thread."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch.nn.functional import normalize

from spnet.data.video import Frame, next_tick, read_frames
from spnet.errors import UserError
from spnet.gallery.prefetch import prefetch
from spnet.gallery.schema import DETECTIONS, TRACKLETS, SourceRow
from spnet.gallery.store import Store, one_of, quote
from spnet.gallery.tracker import People, Row, Tracker
from spnet.gallery.tracklets import LinkingConfig
from spnet.inference.images import read_pixels
from spnet.inference.searcher import ImageDetections, Searcher

AHEAD = 3  # batches that are decoded in advance
PARTS_BETWEEN_COMPACTIONS = 200
Item = TypeVar("Item")


@dataclass(frozen=True)
class Progress:
    """How far a call is."""

    file: str
    frames: int  # done in this call
    expected: int  # of this call, by the durations that the videos state


@dataclass(frozen=True)
class IndexReport:
    """What a call did."""

    files: int  # indexed, in whole or the rest of it
    frames: int
    already: int  # files that were there
    unreadable: tuple[str, ...]  # one line each


class Indexer:
    """Indexes files into a store, with one network.

    Args:
        store: where to; the caller holds its lock.
        searcher: the network.
        fingerprint: of the network.
        linking: how detections become tracklets.
        commit_seconds: after how long what is found is written.
        progress: called after every batch; it may raise KeyboardInterrupt to stop.
    """

    def __init__(
        self,
        store: Store,
        searcher: Searcher,
        fingerprint: str,
        linking: LinkingConfig,
        commit_seconds: float,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._store, self._searcher, self._fingerprint = store, searcher, fingerprint
        self._linking, self._commit_seconds, self._progress = linking, commit_seconds, progress
        self._frames = self._expected = self._parts = 0
        self._unreadable: list[str] = []

    def run(self, sources: Sequence[SourceRow]) -> None:
        """Index files that are not done, or the rest of them; what cannot be read is listed in `unreadable`."""
        self._expected = sum(map(expected_frames, sources))
        images = [source for source in sources if source.kind == "image"]
        self._index_images(images)
        for source in sources:
            if source.kind == "video":
                self._index_video(source)
        self._store.compact()

    @property
    def frames(self) -> int:
        """Frames and images indexed in this call."""
        return self._frames

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Files that could not be read, one line each."""
        return tuple(self._unreadable)

    def _index_images(self, sources: Sequence[SourceRow]) -> None:
        pending: list[tuple[SourceRow, Tracker]] = []
        written = monotonic()
        for batch in prefetch(_batches(self._readable(sources), self._searcher.batch_size), AHEAD):
            found = self._searcher.detect([pixels for _, pixels in batch])
            for (source, pixels), people in zip(batch, found, strict=True):
                height, width, _ = pixels.shape
                tracker = Tracker(source, self._fingerprint, self._linking)
                tracker.add(0.0, rounded(people), pixels)
                done = replace(source, frames=1, done=True, parts=1, width=width, height=height)
                pending.append((done, tracker))
            self._report(batch[-1][0], len(batch))
            if monotonic() - written >= self._commit_seconds:
                self._write_images(pending)
                pending, written = [], monotonic()
        self._write_images(pending)

    def _readable(self, sources: Iterable[SourceRow]) -> Iterator[tuple[SourceRow, npt.NDArray[np.uint8]]]:
        for source in sources:
            try:
                yield source, read_pixels(source.file)
            except UserError as error:
                self._unreadable.append(str(error))

    def _write_images(self, pending: Sequence[tuple[SourceRow, Tracker]]) -> None:
        if not pending:
            return
        tracklets: list[Row] = []
        detections: list[Row] = []
        for _, tracker in pending:
            ended, seen = tracker.take(0, last=True)
            tracklets += ended
            detections += seen
        self._store.announce([replace(source, done=False, parts=0) for source, _ in pending])
        self._store.write_part([source for source, _ in pending], tracklets, detections)

    def _index_video(self, source: SourceRow) -> None:
        tracker = Tracker(source, self._fingerprint, self._linking)
        if source.parts:
            self._restore(tracker)
        else:
            self._store.announce([source])
        written = monotonic()
        try:
            for batch in prefetch(_batches(_frames(source), self._searcher.batch_size), AHEAD):
                for frame, people in zip(batch, self._searcher.detect([one.pixels for one in batch]), strict=True):
                    tracker.add(frame.time, rounded(people), frame.pixels)
                height, width, _ = batch[-1].pixels.shape
                place = next_tick(batch[-1].time, source.fps)
                source = replace(source, next_time=place, frames=source.frames + len(batch), width=width, height=height)
                self._report(source, len(batch))
                if monotonic() - written >= self._commit_seconds:
                    source, written = self._write_video(source, tracker, last=False), monotonic()
        except UserError as error:
            self._unreadable.append(str(error))
            if not source.frames:
                self._store.forget([source.id])
                return
        self._write_video(source, tracker, last=True)

    def _write_video(self, source: SourceRow, tracker: Tracker, last: bool) -> SourceRow:
        tracklets, detections = tracker.take(source.parts, last)
        source = replace(source, parts=source.parts + 1, done=last)
        self._store.write_part([source], tracklets, detections)
        self._parts += 1
        if self._parts % PARTS_BETWEEN_COMPACTIONS == 0:
            self._store.compact()
        return source

    def _restore(self, tracker: Tracker) -> None:
        """The tracks that were open when the file's last part was written."""
        mine = f"source = {quote(tracker.source.id)}"
        ended = {row["id"] for row in self._store.rows(TRACKLETS, mine, ["id"])}
        ids = {row["tracklet"] for row in self._store.rows(DETECTIONS, mine, ["tracklet"])}
        rows = self._store.rows(DETECTIONS, one_of("tracklet", sorted(ids - ended))) if ids - ended else []
        tracker.restore(ids, sorted(rows, key=lambda row: row["time"]))

    def _report(self, source: SourceRow, frames: int) -> None:
        self._frames += frames
        if self._progress:
            self._progress(Progress(source.file, self._frames, max(self._expected, self._frames)))


def expected_frames(source: SourceRow) -> int:
    """Frames left to index, by the duration the file states; 1 of an image."""
    if source.kind == "image":
        return 1
    left = max((source.duration or 0.0) - source.next_time, 0.0)
    return max(1, round(left * (source.fps or 25.0)))


def rounded(people: ImageDetections) -> People:
    """What the network found, as it is stored: normalized embeddings in float16, boxes in float32."""
    embeddings = normalize(people.embeddings.float(), dim=1).half().float()
    return People(people.boxes.float().numpy(), people.scores.float().numpy(), embeddings.numpy())


def _frames(source: SourceRow) -> Iterator[Frame]:
    return read_frames(Path(source.file), source.fps, source.next_time)


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
