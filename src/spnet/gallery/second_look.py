"""Looks through the images of an index again, with the query itself: the query-centric pathway of the paper.

It finds people whom the object-centric detection missed; what that has found already is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spnet.data.video import Frame, read_frame, read_frames
from spnet.gallery.query import Box
from spnet.gallery.results import Hit
from spnet.gallery.schema import SourceRow
from spnet.gallery.thumbnails import crop, encode
from spnet.gallery.times import show_place
from spnet.gallery.tracker import BEST
from spnet.gallery.tracklets import Array, Linker, LinkingConfig, buffered_iou
from spnet.inference.images import ImageLike, read_pixels
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


def look_again(
    searcher: Searcher,
    queries: Sequence[tuple[ImageLike, Box]],
    span: Span,
    detected: dict[float, Array],
    report: Callable[[str], None] = lambda file: None,
) -> list[Hit]:
    """People of a span that resemble the queries and are not among those `detected` (boxes by time), as hits.

    `report` is called with the file's name for every frame.
    """
    times: list[float] = []

    def frames() -> Iterator[ImageLike]:
        for frame in read_span(span):
            times.append(frame.time)
            report(span.source.file)
            yield frame.pixels

    # a span shorter than the gap between two frames has none
    first = next(images := frames(), None)
    if first is None:
        return []
    rankings = searcher.find(_chain(first, images), list(queries), "query")  # type: ignore[arg-type]  # boxes of any kind
    image = np.concatenate([ranking.image.numpy() for ranking in rankings])
    boxes = np.concatenate([ranking.boxes.numpy() for ranking in rankings])
    scores = np.concatenate([ranking.scores.numpy() for ranking in rankings])
    similarity = np.concatenate([ranking.similarity.numpy() for ranking in rankings])
    linker = Linker(LinkingConfig(min_similarity=-1.0))
    groups: dict[int, list[tuple[float, float, Array, float]]] = {}
    for number, time in enumerate(times):
        linker.close(time)
        rows = np.flatnonzero(image == number)
        rows = rows[~_overlaps(boxes[rows], detected.get(time))]
        rows = _distinct(rows[np.argsort(-similarity[rows], kind="stable")], boxes)
        alike = np.ones((len(rows), 1), np.float32)
        for row, track in zip(rows.tolist(), linker.assign(time, boxes[rows], alike), strict=True):
            groups.setdefault(track, []).append((float(similarity[row]), time, boxes[row], float(scores[row])))
    return [_hit(span.source, sorted(group, key=lambda seen: -seen[0])) for group in groups.values()]


def read_span(span: Span) -> Iterator[Frame]:
    """The frames of a span that were indexed. Raises UserError for a file that cannot be read any more."""
    if span.source.kind == "image":
        yield Frame(0.0, read_pixels(span.source.file))
        return
    for frame in read_frames(Path(span.source.file), span.source.fps, span.first):
        if frame.time > span.last:
            return
        yield frame


def _chain(first: ImageLike, others: Iterator[ImageLike]) -> Iterator[ImageLike]:
    yield first
    yield from others


def _overlaps(boxes: Array, detected: Array | None) -> np.ndarray:
    if detected is None or not len(boxes):
        return np.zeros(len(boxes), bool)
    return np.asarray(buffered_iou(boxes, detected, 0.0).max(1) >= SAME_IOU)


def _distinct(rows: np.ndarray, boxes: Array) -> np.ndarray:
    """Of rows that overlap (several queries find the same person), the first."""
    alike = buffered_iou(boxes[rows], boxes[rows], 0.0) >= SAME_IOU
    return np.asarray(rows[~np.tril(alike, -1).any(1)])


def _hit(source: SourceRow, seen: list[tuple[float, float, Array, float]]) -> Hit:
    best = seen[:1] if source.kind == "image" else seen[:BEST]
    times = [time for _, time, _, _ in seen]
    first, last = min(times), max(times)
    crops = []
    for _, time, box, _ in best:
        pixels = read_pixels(source.file) if source.kind == "image" else read_frame(Path(source.file), time).pixels
        crops.append(encode(crop(pixels, box)))
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
        thumbnails=crops,
        found_by="second look",
    )
