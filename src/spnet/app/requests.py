"""What the page may send, checked by pydantic, and what it means to the gallery."""

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from spnet.app.state import AppState, Pixels
from spnet.data.sources import read_file_at
from spnet.errors import UserError
from spnet.gallery.query import Box, QueryLike
from spnet.gallery.results import Filter
from spnet.gallery.schema import SourceRow
from spnet.gallery.times import parse_moment
from spnet.gallery.tracklets import Array
from spnet.inference.images import ImageLike

Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,80}$")]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
Side = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=300)]
MOST_QUERIES, MOST_HITS = 12, 200


class Request(BaseModel):
    """A body of JSON without anything unknown."""

    model_config = ConfigDict(extra="forbid")


class Purpose(Request):
    """Why the index is searched."""

    text: Annotated[str, Field(max_length=2000)]


class At(Request):
    """A place in a video, seconds."""

    time: Seconds


class Query(Request):
    """A person in a frame of a source or in an upload, by a box; or a tracklet, with where it is seen best."""

    source: Identity | None = None
    time: Seconds = 0.0
    upload: Identity | None = None
    box: Annotated[list[Side], Field(min_length=4, max_length=4)]
    tracklet: Identity | None = None


class Limits(Request):
    """Which hits count."""

    cameras: Annotated[list[Name], Field(max_length=1000)] = []
    first: Annotated[str, Field(max_length=40)] = ""
    last: Annotated[str, Field(max_length=40)] = ""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] | None = None
    top: Annotated[int, Field(ge=1, le=MOST_HITS)] = 24

    def as_filter(self) -> Filter:
        """As the gallery has it. Raises UserError for a text that is no time."""
        first = parse_moment(self.first, "from") if self.first else None
        last = parse_moment(self.last, "to") if self.last else None
        return Filter(self.cameras, (), first, last)


class SearchRequest(Request):
    """Whom to look for, and where."""

    queries: Annotated[list[Query], Field(min_length=1, max_length=MOST_QUERIES)]
    limits: Limits = Limits()


class Marks(Request):
    """All hits that are marked by now."""

    right: Annotated[list[Identity], Field(max_length=MOST_HITS)] = []
    wrong: Annotated[list[Identity], Field(max_length=MOST_HITS)] = []


class Export(Request):
    """Which hits (ranks from 1; all where none is named), and how."""

    ranks: Annotated[list[int], Field(max_length=MOST_HITS)] = []
    blur: bool = False


class Tracklets(Request):
    """Tracklets by their ids."""

    ids: Annotated[list[Identity], Field(min_length=1, max_length=100)]


class NewSource(Request):
    """What to index: a file, folder or pattern on this machine."""

    path: Annotated[str, Field(min_length=1, max_length=1000)]
    camera: Annotated[str, Field(max_length=100)] = ""
    fps: Annotated[float, Field(gt=0, le=60)] = 5.0


def read_image(state: AppState, query: Query) -> tuple[ImageLike, Box]:
    """The image (H, W, 3) of a query and its box (4,). Raises UserError for what is not there."""
    if query.upload is not None:
        pixels = state.uploads.get(query.upload)
        if pixels is None:
            raise UserError("the uploaded image is forgotten by now: upload it again")
        return pixels, np.array(query.box)
    source = state.source(query.source or "")
    if source is None:
        raise UserError("no such source in the index")
    return read_source(state, source, query.time), np.array(query.box)


def read_source(state: AppState, source: SourceRow, time: float) -> Pixels:
    """The frame (H, W, 3) of a source at or next after `time` seconds. Raises UserError."""
    state.check_unchanged(source)
    return read_file_at(source.file, time)


def as_query(state: AppState, query: Query) -> QueryLike:
    """What the gallery searches for: a tracklet's embedding where there is one, else the image with its box."""
    if query.tracklet is not None:
        embedding: Array = state.gallery.embeddings([query.tracklet])[0]
        return embedding
    return read_image(state, query)
