"""Turns the people of a file's frames into the rows of its tracklets and detections."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from spnet.gallery.schema import SourceRow
from spnet.gallery.tracklets import Array, Linker, LinkingConfig, normalized

BEST = 3  # boxes of a tracklet that are shown
APART = 1.0  # seconds between them
Row = dict[str, Any]


@dataclass(frozen=True)
class People:
    """The people of one frame."""

    boxes: Array  # (n, 4) pixels xyxy
    scores: Array  # (n,)
    embeddings: Array  # (n, E) normalized, rounded to float16 as they are stored
    thumbnail: Callable[[int], bytes]  # JPEG of the person of a row; made when it is asked for

    def with_thumbnails(self) -> Self:
        """The same with all thumbnails made, so that it does without the frame and can be sent to a process."""
        return replace(self, thumbnail=[self.thumbnail(row) for row in range(len(self.boxes))].__getitem__)


@dataclass(frozen=True)
class BestBox:
    """A box of a tracklet worth showing, by its row among the detections."""

    quality: float
    time: float
    row: Row


@dataclass
class OpenTracklet:
    """What is known so far of a tracklet that may go on."""

    first: float
    last: float
    frames: int
    score: float  # sum
    embedding: npt.NDArray[np.float64]  # (E,) sum
    best: list[BestBox] = field(default_factory=list)

    def add(self, row: Row) -> bool:
        """Take in a detection; returns whether it is one of the best so far."""
        self.last = row["time"]
        self.frames += 1
        self.score += float(row["score"])
        self.embedding += row["embedding"]
        quality = quality_of(row["score"], row["box"])
        near = [best for best in self.best if abs(best.time - row["time"]) < APART]
        if any(best.quality >= quality for best in near):
            return False
        kept = [best for best in self.best if best not in near]
        self.best = sorted([*kept, BestBox(quality, row["time"], row)], key=lambda best: -best.quality)[:BEST]
        return any(best.row is row for best in self.best)


class Tracker:
    """Collects the rows of one file, part by part.

    What is written can be read again (`restore`), and going on from there gives what one go gives: the state of a track
    follows from its detections, and embeddings are rounded before they are used.
    """

    def __init__(self, source: SourceRow, fingerprint: str, config: LinkingConfig) -> None:
        self.source = source
        self.fingerprint = fingerprint
        self.linker = Linker(config)
        self._open: dict[int, OpenTracklet] = {}
        self._detections: list[Row] = []
        self._tracklets: list[Row] = []

    def restore(self, ids: Iterable[str], detections: Iterable[Mapping[str, Any]]) -> None:
        """Go on after an interruption: `ids` of all tracklets so far, detections of those still open, by time."""
        self.linker.next_number = max((number_of(identity) + 1 for identity in ids), default=0)
        for stored in detections:
            row = {
                **stored,
                "box": np.array(stored["box"], np.float32),
                "embedding": np.array(stored["embedding"], np.float32),
            }
            number = number_of(row["tracklet"])
            self.linker.update(number, row["time"], row["box"], row["embedding"])
            self._enter(number, row)

    def add(self, time: float, people: People) -> None:
        """Take in the people of a frame."""
        self._end(self.linker.close(time))
        if self.source.tracks:
            numbers = self.linker.assign(time, people.boxes, people.embeddings)
        else:
            numbers = list(range(self.linker.next_number, self.linker.next_number + len(people.boxes)))
            self.linker.next_number += len(numbers)
        columns = (numbers, people.boxes, people.scores, people.embeddings)
        for place, (number, box, score, embedding) in enumerate(zip(*columns, strict=True)):
            row: Row = {
                "tracklet": f"{self.source.id}-{number}",
                "source": self.source.id,
                "time": time,
                "clock": None if self.source.start is None else self.source.start + time,
                "box": box,
                "score": float(score),
                "embedding": embedding,
                "thumbnail": None,
            }
            if self._enter(number, row):
                row["thumbnail"] = people.thumbnail(place)
            self._detections.append(row)
        if not self.source.tracks:
            self._end(numbers)

    def take(self, part: int, last: bool = False) -> tuple[list[Row], list[Row]]:
        """Tracklets that have ended and all detections since the last part; with `last`, all that is left."""
        if last:
            self._end(list(self._open))
        tracklets = [row | {"part": part} for row in self._tracklets]
        needed = {id(best.row) for tracklet in self._open.values() for best in tracklet.best}
        detections = [
            row | {"part": part, "thumbnail": row["thumbnail"] if id(row) in needed else None}
            for row in self._detections
        ]
        self._tracklets, self._detections = [], []
        return tracklets, detections

    def _enter(self, number: int, row: Row) -> bool:
        if number not in self._open:
            nothing = np.zeros(len(row["embedding"]))
            self._open[number] = OpenTracklet(row["time"], row["time"], 0, 0.0, nothing)
        return self._open[number].add(row)

    def _end(self, numbers: Iterable[int]) -> None:
        self._tracklets += [self._row(number, self._open.pop(number)) for number in numbers]

    def _row(self, number: int, tracklet: OpenTracklet) -> Row:
        source, start = self.source, self.source.start
        best = [entry.row for entry in tracklet.best]
        return {
            "id": f"{source.id}-{number}",
            "source": source.id,
            "file": source.file,
            "camera": source.camera,
            "first": tracklet.first,
            "last": tracklet.last,
            "clock_first": None if start is None else start + tracklet.first,
            "clock_last": None if start is None else start + tracklet.last,
            "frames": tracklet.frames,
            "score": tracklet.score / tracklet.frames,
            "boxes": [row["box"].tolist() for row in best],
            "times": [row["time"] for row in best],
            "box_scores": [row["score"] for row in best],
            "thumbnails": [row["thumbnail"] for row in best],
            "embedding": normalized(tracklet.embedding.astype(np.float32)),
            "fingerprint": self.fingerprint,
        }


def quality_of(score: float, box: Sequence[float] | Array) -> float:
    """How well a detection shows its person: its score times the height of its box."""
    return float(score) * float(box[3] - box[1])


def number_of(identity: str) -> int:
    """The number of a tracklet among those of its file."""
    return int(identity.rpartition("-")[2])
