"""Detections of one video linked into tracklets: one person, seen by one camera, without an interruption.

Each frame, open tracks are moved on at constant velocity and matched to the detections by SciPy's assignment. The cost
mixes the overlap of boxes enlarged by a share of their size (the buffered IoU of C-BIoU, Yang et al., WACV 2023: at a
few frames a second a person's boxes may not overlap) with the cosine of their embeddings. A pair whose embeddings part
is not linked, whatever its overlap: there a new track starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Array = npt.NDArray[np.float32]
FORBIDDEN = 1e3  # cost of a pair that must not be linked


@dataclass(frozen=True)
class LinkingConfig:
    """When detections are the same track. The embedding counts by its cosine to the track's running mean."""

    max_gap: float = 1.5  # seconds without a detection after which a track ends
    max_length: float = 120.0  # seconds after which a track is cut: a hit should show where to look
    min_overlap: float = 0.1  # buffered IoU
    buffer: float = 0.3  # share of its width and height a box is enlarged by on each side
    # chosen by benchmarks/tracklets.py on real video: a track cut in two costs a search less than one of two people
    min_similarity: float = 0.7  # cosine
    similarity_weight: float = 0.7  # the rest is the overlap's
    memory: float = 0.8  # share the running mean keeps at each detection
    smoothing: float = 0.5  # share of the measured velocity


@dataclass
class Track:
    """A track that may go on."""

    number: int  # counted through a video
    first: float  # seconds
    last: float
    box: Array  # (4,) the last one, pixels xyxy
    velocity: Array  # (4,) pixels a second
    direction: Array  # (E,) running mean of embeddings, normalized

    def predict(self, time: float) -> Array:
        """The box (4,) at `time`, at constant velocity."""
        return np.asarray(self.box + self.velocity * (time - self.last), np.float32)

    def update(self, time: float, box: Array, embedding: Array, config: LinkingConfig) -> None:
        """Take in a detection."""
        elapsed = time - self.last
        if elapsed > 0:
            measured = (box - self.box) / elapsed
            weight = config.smoothing if self.last > self.first else 1.0
            self.velocity = np.asarray(weight * measured + (1 - weight) * self.velocity, np.float32)
        self.direction = normalized(config.memory * self.direction + (1 - config.memory) * embedding)
        self.box, self.last = box, time


@dataclass
class Linker:
    """Links the detections of one video, frame by frame."""

    config: LinkingConfig = field(default_factory=LinkingConfig)
    tracks: dict[int, Track] = field(default_factory=dict)  # open ones by number
    next_number: int = 0

    def assign(self, time: float, boxes: Array, embeddings: Array) -> list[int]:
        """The track number of each detection of a frame: boxes (n, 4) pixels xyxy, embeddings (n, E) normalized."""
        tracks = list(self.tracks.values())
        numbers = [-1] * len(boxes)
        for row, column in match(tracks, time, boxes, embeddings, self.config):
            numbers[column] = tracks[row].number
        for column, number in enumerate(numbers):
            if number < 0:
                numbers[column] = self.next_number
            self.update(numbers[column], time, boxes[column], embeddings[column])
        return numbers

    def update(self, number: int, time: float, box: Array, embedding: Array) -> None:
        """Put one detection on a track, which may be new."""
        if number in self.tracks:
            self.tracks[number].update(time, box, embedding, self.config)
        else:
            self.tracks[number] = Track(number, time, time, box, np.zeros(4, np.float32), embedding)
        self.next_number = max(self.next_number, number + 1)

    def close(self, time: float) -> list[int]:
        """End the tracks that are too old or too long at `time`, and return their numbers."""
        ended = [
            number
            for number, track in self.tracks.items()
            if time - track.last > self.config.max_gap or time - track.first > self.config.max_length
        ]
        for number in ended:
            del self.tracks[number]
        return ended


def match(
    tracks: Sequence[Track], time: float, boxes: Array, embeddings: Array, config: LinkingConfig
) -> list[tuple[int, int]]:
    """Pairs (track, detection) of least total cost among those that may be linked."""
    if not tracks or not len(boxes):
        return []
    predicted = np.stack([track.predict(time) for track in tracks])
    directions = np.stack([track.direction for track in tracks])
    overlap = buffered_iou(predicted, boxes, config.buffer)
    similarity = directions @ embeddings.T
    allowed = (overlap >= config.min_overlap) & (similarity >= config.min_similarity)
    cost = config.similarity_weight * (1 - similarity) + (1 - config.similarity_weight) * (1 - overlap)
    rows, columns = linear_sum_assignment(np.where(allowed, cost, FORBIDDEN))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]]


def buffered_iou(first: Array, second: Array, buffer: float) -> Array:
    """IoU (n, m) of boxes (n, 4) and (m, 4), pixels xyxy, each enlarged by `buffer` of its size on each side."""
    one, other = _enlarge(first, buffer)[:, None], _enlarge(second, buffer)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = sides.clip(min=0).prod(-1)
    total = _area(one) + _area(other) - shared
    return np.asarray(np.divide(shared, total, out=np.zeros_like(shared), where=total > 0), np.float32)


def normalized(embeddings: Array) -> Array:
    """Embeddings (..., E) of length 1; a zero stays."""
    lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, 1e-12), np.float32)


def _enlarge(boxes: Array, share: float) -> Array:
    margin = np.tile((boxes[:, 2:] - boxes[:, :2]) * share, 2) * np.array([-1, -1, 1, 1], np.float32)
    return np.asarray(boxes + margin, np.float32)


def _area(boxes: Array) -> Array:
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(-1), np.float32)
