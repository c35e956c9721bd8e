"""Indexes files: a detector finds the people of their frames, here they are linked and written."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from time import monotonic

from spnet.data.video import next_tick
from spnet.gallery.frames import Batch, Chunk, Detector
from spnet.gallery.lance import one_of, quote
from spnet.gallery.schema import DETECTIONS, SOURCES, TRACKLETS, SourceRow
from spnet.gallery.store import Store
from spnet.gallery.tracker import Row, Tracker
from spnet.gallery.tracklets import LinkingConfig

PARTS_BETWEEN_COMPACTIONS = 200


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
    """Indexes files into a store whose lock the caller holds, with one network, whose `fingerprint` the rows get.

    Frames of a video arrive in their order, so this is one process. What is found is written every `commit_seconds`;
    `progress` is called after every batch, and may raise KeyboardInterrupt to stop.
    """

    def __init__(
        self,
        store: Store,
        detector: Detector,
        fingerprint: str,
        linking: LinkingConfig,
        commit_seconds: float,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._store, self._detector, self._fingerprint = store, detector, fingerprint
        self._linking, self._commit_seconds, self._progress = linking, commit_seconds, progress
        self.frames = 0  # and images, indexed in this call
        self.unreadable: list[str] = []  # a line for each file
        self._expected = self._parts = 0

    def run(self, sources: Sequence[SourceRow]) -> None:
        """Index files that are not done, or the rest of them; what cannot be read is listed in `unreadable`."""
        self._expected = sum(map(expected_frames, sources))
        images = [source for source in sources if source.kind == "image"]
        videos = [source for source in sources if source.kind == "video"]
        chunks = [*([Chunk(images)] if images else []), *(Chunk([video], video.next_time) for video in videos)]
        with closing(self._detector(chunks)) as found:
            for chunk, batches in zip(chunks, found, strict=True):
                if chunk.sources[0].kind == "image":
                    self._index_images(batches)
                else:
                    self._index_video(chunk.sources[0], batches)
        self._store.compact()

    def _index_images(self, batches: Iterator[Batch]) -> None:
        pending: list[tuple[SourceRow, list[Row], list[Row]]] = []
        written = monotonic()
        for batch in batches:
            for frame in batch.frames:
                tracker = Tracker(frame.source, self._fingerprint, self._linking)
                tracker.add(frame.time, frame.people)
                done = replace(frame.source, frames=1, done=True, parts=1, width=frame.width, height=frame.height)
                pending.append((done, *tracker.take(0, last=True)))
            self._report(batch)
            if monotonic() - written >= self._commit_seconds:
                self._write_images(pending)
                pending, written = [], monotonic()
        self._write_images(pending)

    def _write_images(self, pending: Sequence[tuple[SourceRow, list[Row], list[Row]]]) -> None:
        if pending:
            sources, tracklets, detections = zip(*pending, strict=True)
            self._store.announce([replace(source, done=False, parts=0) for source in sources])
            self._store.write_part(sources, list(chain(*tracklets)), list(chain(*detections)))

    def _index_video(self, source: SourceRow, batches: Iterator[Batch]) -> None:
        tracker = Tracker(source, self._fingerprint, self._linking)
        if source.parts:
            self._restore(tracker)
        else:
            self._store.announce([source])
        written, unreadable = monotonic(), False
        for batch in batches:
            for frame in batch.frames:
                tracker.add(frame.time, frame.people)
                place, seen = next_tick(frame.time, source.fps), source.frames + 1
                source = replace(source, next_time=place, frames=seen, width=frame.width, height=frame.height)
            self._report(batch)
            if unreadable := bool(batch.unreadable):
                break
            if monotonic() - written >= self._commit_seconds:
                source, written = self._write_video(source, tracker, last=False), monotonic()
        if unreadable and not source.frames:
            self._store.remove(SOURCES, f"id = {quote(source.id)}")
        else:
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

    def _report(self, batch: Batch) -> None:
        self.unreadable += batch.unreadable
        self.frames += len(batch.frames)
        if batch.frames and self._progress:
            file = batch.frames[-1].source.file
            self._progress(Progress(file, self.frames, max(self._expected, self.frames)))


def expected_frames(source: SourceRow) -> int:
    """Frames left to index, by the duration the file states; 1 of an image."""
    if source.kind == "image":
        return 1
    left = max((source.duration or 0.0) - source.next_time, 0.0)
    return max(1, round(left * (source.fps or 25.0)))
