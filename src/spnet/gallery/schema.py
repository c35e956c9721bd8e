"""The tables of an index: what a row of each holds."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from spnet.extras import import_extra

if TYPE_CHECKING:
    import pyarrow

TRACKLETS, DETECTIONS, SOURCES, ABOUT = "tracklets", "detections", "sources", "about"
WRITER = "writer"  # of an index on an object store: who writes (`claim.py`)
_ARROW: dict[Any, str] = {str: "string", bool: "bool", int: "int32", float: "float64", float | None: "float64"}


@dataclass(frozen=True)
class SourceRow:
    """A file of an index, and how far it is indexed.

    A file's tracklets and detections carry the number of the part they were written with. Those of a part below `parts`
    are acknowledged; what a killed process wrote of a later part is removed when the index is next written to.
    """

    id: str  # digest of the content
    file: str
    kind: str  # `image` or `video`
    camera: str
    start: float | None  # clock time of its beginning, seconds since 1970 UTC
    fps: float | None  # frames a second that are read
    tracks: bool  # linked into tracklets
    duration: float | None  # seconds
    next_time: float = 0.0  # seconds: where indexing goes on
    parts: int = 0
    done: bool = False
    frames: int = 0  # indexed so far
    width: int = 0  # pixels; 0 before the first frame
    height: int = 0


def source_schema() -> "pyarrow.Schema":
    """Columns of `SourceRow`."""
    pa = import_extra("pyarrow")
    sizes = {"frames": "int64"}  # the other whole numbers are small
    return pa.schema([(field.name, sizes.get(field.name, _ARROW[field.type])) for field in fields(SourceRow)])


def tracklet_schema(dims: int) -> "pyarrow.Schema":
    """One person seen by one camera without an interruption; a detection alone where nothing was linked.

    `first`, `last` and `times` are seconds from the file's beginning; `clock_first` and `clock_last` seconds since 1970
    UTC, null where the file has no clock time. `boxes`, `times`, `box_scores` and `thumbnails` (JPEG) belong together,
    the best one first. `embedding` is the normalized mean.
    """
    pa = import_extra("pyarrow")
    box = pa.list_(pa.float32(), 4)
    kinds = {
        "id": pa.string(),
        "source": pa.string(),
        "part": pa.int32(),
        "file": pa.string(),
        "camera": pa.string(),
        "first": pa.float64(),
        "last": pa.float64(),
        "clock_first": pa.float64(),
        "clock_last": pa.float64(),
        "frames": pa.int32(),
        "score": pa.float32(),  # mean of its detections
        "boxes": pa.list_(box),  # pixels xyxy
        "times": pa.list_(pa.float64()),
        "box_scores": pa.list_(pa.float32()),
        "thumbnails": pa.list_(pa.binary()),
        "embedding": pa.list_(pa.float16(), dims),
        "fingerprint": pa.string(),  # of the network
    }
    return pa.schema(kinds)


def detection_schema(dims: int) -> "pyarrow.Schema":
    """One person in one frame; `time` and `clock` as in a tracklet.

    `thumbnail` is there where a track that was still open would need it to go on.
    """
    pa = import_extra("pyarrow")
    kinds = {
        "tracklet": pa.string(),
        "source": pa.string(),
        "part": pa.int32(),
        "time": pa.float64(),
        "clock": pa.float64(),
        "box": pa.list_(pa.float32(), 4),
        "score": pa.float32(),
        "embedding": pa.list_(pa.float16(), dims),
        "thumbnail": pa.binary(),
    }
    return pa.schema(kinds)


def about_schema() -> "pyarrow.Schema":
    """What is kept about the index as a whole, JSON by name."""
    pa = import_extra("pyarrow")
    return pa.schema({"name": pa.string(), "value": pa.string()})
