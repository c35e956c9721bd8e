"""What a search finds: hits, best first, and what other libraries make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from spnet.extras import import_extra
from spnet.gallery.reranking import Reranked
from spnet.gallery.times import Moment, show_clock, show_place

if TYPE_CHECKING:
    import pandas
    import supervision

FoundBy = Literal["index", "second look"]
HIT_COLUMNS = (
    "id", "camera", "file", "first", "last", "clock_first", "clock_last", "frames", "score", "boxes", "times",
    "thumbnails", "_distance",
)  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """Which tracklets count: of these cameras and files (all where none is named), seen between two times."""

    cameras: Sequence[str] = ()
    files: Sequence[str] = ()
    first: Moment | None = None
    last: Moment | None = None


@dataclass(frozen=True)
class Hit:
    """A tracklet and how similar it is to the query; the first of `boxes` is the best one."""

    id: str
    camera: str
    file: str
    first: float  #: seconds from the file's beginning
    last: float
    clock_first: float | None  #: seconds since 1970 UTC
    clock_last: float | None
    frames: int  #: in which the person was detected
    score: float  #: of the detections, mean
    similarity: float  #: cosine to the query, -1..1
    probability: float | None  #: that it is the same person; None: uncalibrated
    boxes: npt.NDArray[np.float32] = field(repr=False)  #: (n, 4) pixels xyxy
    times: Sequence[float] = field(repr=False)  #: of the boxes, seconds
    thumbnails: Sequence[bytes] = field(repr=False)  #: of the boxes, JPEG
    found_by: FoundBy = "index"
    reranked: float | None = None  # what it is ranked by after re-ranking; None: by its similarity

    @property
    def place(self) -> str:
        """When it was seen, from the file's beginning."""
        return (
            show_place(self.first) if self.first == self.last else f"{show_place(self.first)}-{show_place(self.last)}"
        )

    @property
    def clock(self) -> str:
        """When it was seen first, by the clock; empty where the file has no clock time."""
        return show_clock(self.clock_first) if self.clock_first is not None else ""

    def as_record(self) -> dict[str, Any]:
        """What there is to write down of it: no image, no embedding."""
        record = {
            "id": self.id,
            "camera": self.camera,
            "file": self.file,
            "first": self.first,
            "last": self.last,
            "clock_first": self.clock or None,
            "time": self.times[0],
            "box": [round(float(value), 1) for value in self.boxes[0]],
            "frames": self.frames,
            "score": round(self.score, 4),
            "similarity": round(self.similarity, 4),
            "probability": None if self.probability is None else round(self.probability, 4),
            "found_by": self.found_by,
        }
        return record if self.reranked is None else record | {"reranked": round(self.reranked, 4)}


def make_hit(row: Mapping[str, Any]) -> Hit:
    """The hit that a tracklet's `HIT_COLUMNS` are."""
    return Hit(
        **{name: row[name] for name in HIT_COLUMNS if name not in ("boxes", "_distance")},
        boxes=np.array(row["boxes"], np.float32).reshape(-1, 4),
        similarity=1 - float(row["_distance"]),
        probability=None,
    )


@dataclass(frozen=True)
class SearchResult:
    """Hits, best first, with what is needed to search again."""

    hits: Sequence[Hit]
    query: npt.NDArray[np.float32] = field(repr=False)  #: (E,) as given, normalized
    direction: npt.NDArray[np.float32] = field(repr=False)  #: (E,) as searched: after feedback
    top: int
    where: Filter
    limits: Mapping[str, float | None] = field(default_factory=dict)
    right: frozenset[str] = frozenset()  #: marked
    wrong: frozenset[str] = frozenset()
    calibrated: bool = False
    reranking: Reranked | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.hits)

    def to_pandas(self) -> "pandas.DataFrame":
        """A row a hit. Raises UserError where pandas is not installed."""
        frame: pandas.DataFrame = import_extra("pandas").DataFrame([hit.as_record() for hit in self.hits])
        return frame

    def to_supervision(self) -> "supervision.Detections":
        """The best box of each hit, with its file, time and similarity as data. Raises UserError."""
        boxes = [hit.boxes[0] for hit in self.hits]
        detections: supervision.Detections = import_extra("supervision").Detections(
            xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            confidence=np.array([hit.score for hit in self.hits], np.float32),
            class_id=np.zeros(len(self.hits), int),
            data={
                name: np.array([getattr(hit, name) for hit in self.hits])
                for name in ("id", "camera", "file", "first", "last", "similarity")
            },
        )
        return detections
