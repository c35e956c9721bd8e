"""Looks through the images of an index again, with the query itself: the query-centric pathway of the paper.

It finds people whom the object-centric detection missed; what that has found already is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, takewhile

import numpy as np

from spnet.data.sources import read_file, read_file_at
from spnet.gallery.indexer import Progress
from spnet.gallery.query import Box
from spnet.gallery.results import Hit
from spnet.gallery.schema import SourceRow
from spnet.gallery.store import Store
from spnet.gallery.thumbnails import thumbnail
from spnet.gallery.times import show_place
from spnet.gallery.tracker import BEST
from spnet.gallery.tracklets import Array, Linker, LinkingConfig, buffered_iou
from spnet.inference.images import ImageLike
from spnet.inference.searcher import Searcher

SAME_IOU = 0.5  # from which a box shows somebody who was detected


@dataclass(frozen=True)
class Span:
    """A file, and from when to when it is looked through, in seconds."""

    source: SourceRow
    first: float
    last: float

    @property
    def expected(self) -> int:
        """Frames, about."""
        return 1 + int((self.last - self.first) * (self.source.fps or 25.0))


@dataclass(frozen=True)
class Found:
    """What the queries found in F frames, M boxes with the frame each is in and the similarity to its query."""

    times: list[float]  # (F,) seconds
    frame: np.ndarray  # (M,) int64
    boxes: Array  # (M, 4) pixels xyxy
    scores: Array  # (M,)
    similarity: Array  # (M,)


def look_again(
    searcher: Searcher,
    queries: Sequence[tuple[ImageLike, Box]],
    spans: Sequence[Span],
    store: Store,
    progress: Callable[[Progress], None] | None = None,
) -> list[Hit]:
    """People of the spans that resemble the queries and are not among those that the index has, as hits.

    `progress` is called after every frame.
    """
    frames, expected = count(1), sum(span.expected for span in spans)

    def report(file: str) -> None:
        if progress:
            progress(Progress(file, done := next(frames), max(expected, done)))

    hits: list[Hit] = []
    for span in spans:
        if (found := _find(searcher, queries, span, report)) is not None:
            detected: dict[float, list[list[float]]] = {}
            for row in store.detections(span.source.id, span.first, span.last):
                detected.setdefault(row["time"], []).append(row["box"])
            hits += _link(span.source, found, detected)
    return hits


def _find(
    searcher: Searcher, queries: Sequence[tuple[ImageLike, Box]], span: Span, report: Callable[[str], None]
) -> Found | None:
    """What the queries find in a span; None where no frame lies in it, as between two frames of a video."""
    times: list[float] = []

    def frames() -> Iterator[ImageLike]:
        seen = read_file(span.source.file, span.source.fps, span.first)
        for frame in takewhile(lambda frame: frame.time <= span.last, seen):
            times.append(frame.time)
            report(span.source.file)
            yield frame.pixels

    first = next(images := frames(), None)
    if first is None:
        return None
    gallery: Iterator[ImageLike] = chain([first], images)
    rankings = searcher.find(gallery, list(queries), "query")  # type: ignore[arg-type]  # boxes of any kind
    columns = ("image", "boxes", "scores", "similarity")
    return Found(times, *(np.concatenate([getattr(ranking, name).numpy() for ranking in rankings]) for name in columns))


def _link(source: SourceRow, found: Found, detected: Mapping[float, Sequence[Box]]) -> list[Hit]:
    """Hits of what was found and not detected before (boxes by time); what overlaps from frame to frame is one hit."""
    linker = Linker(LinkingConfig(min_similarity=-1.0))
    groups: dict[int, list[tuple[float, float, Array, float]]] = {}
    for number, time in enumerate(found.times):
        linker.close(time)
        rows = np.flatnonzero(found.frame == number)
        known = np.array(detected.get(time, []), np.float32).reshape(-1, 4)
        rows = rows[(buffered_iou(found.boxes[rows], known, 0.0) < SAME_IOU).all(1)]
        rows = _distinct(rows[np.argsort(-found.similarity[rows], kind="stable")], found.boxes)
        alike = np.ones((len(rows), 1), np.float32)
        for row, track in zip(rows.tolist(), linker.assign(time, found.boxes[rows], alike), strict=True):
            seen = (float(found.similarity[row]), time, found.boxes[row], float(found.scores[row]))
            groups.setdefault(track, []).append(seen)
    return [_hit(source, sorted(group, key=lambda seen: -seen[0])) for group in groups.values()]


def _distinct(rows: np.ndarray, boxes: Array) -> np.ndarray:
    """Of rows that overlap (several queries find the same person), the first."""
    alike = buffered_iou(boxes[rows], boxes[rows], 0.0) >= SAME_IOU
    return np.asarray(rows[~np.tril(alike, -1).any(1)])


def _hit(source: SourceRow, seen: list[tuple[float, float, Array, float]]) -> Hit:
    best = seen[:1] if source.kind == "image" else seen[:BEST]
    times = [time for _, time, _, _ in seen]
    first, last = min(times), max(times)
    return Hit(
        id=f"{source.id}@{show_place(best[0][1])}",
        camera=source.camera,
        file=source.file,
        first=first,
        last=last,
        clock_first=None if source.start is None else source.start + first,
        clock_last=None if source.start is None else source.start + last,
        frames=len(seen),
        score=float(np.mean([score for _, _, _, score in seen])),
        similarity=best[0][0],
        probability=None,
        boxes=np.stack([box for _, _, box, _ in best]),
        times=[time for _, time, _, _ in best],
        thumbnails=[thumbnail(read_file_at(source.file, time), box) for _, time, box, _ in best],
        found_by="second look",
    )
