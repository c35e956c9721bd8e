"""Finds the people of files frame by frame, in batches. Decoding runs ahead in another thread."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch.nn.functional import normalize

from spnet.data.prefetch import batches, prefetch
from spnet.data.sources import read_file
from spnet.errors import UserError
from spnet.gallery.schema import SourceRow
from spnet.gallery.thumbnails import thumbnail
from spnet.gallery.tracker import People
from spnet.inference.searcher import ImageDetections, Searcher

AHEAD = 3  # batches that are decoded in advance


@dataclass(frozen=True)
class Chunk:
    """Files of which people are found in one go: images, or one video or a span of it."""

    sources: Sequence[SourceRow]
    begin: float = 0.0  # seconds, of a video
    end: float | None = None  # None: the video's end


@dataclass(frozen=True)
class FramePeople:
    """The people of one frame or image."""

    source: SourceRow
    time: float  # seconds
    width: int  # pixels
    height: int
    people: People


@dataclass(frozen=True)
class Batch:
    """What is found in frames that follow one another."""

    frames: Sequence[FramePeople]
    unreadable: Sequence[str] = ()  # files of the chunk that cannot be read (any further), one line each


# for each chunk, in their order, its batches; closed where nobody wants more
Detector = Callable[[Sequence[Chunk]], Generator[Iterator[Batch], None, None]]


def detect_chunk(searcher: Searcher, chunk: Chunk) -> Iterator[Batch]:
    """Detect and embed everyone in a chunk's frames, by time; what cannot be read is listed by the last batch."""
    unreadable: list[str] = []
    for batch in prefetch(batches(_frames(chunk, unreadable), searcher.batch_size), AHEAD):
        found = searcher.detect([pixels for _, _, pixels in batch])
        yield Batch([_people(*frame, people) for frame, people in zip(batch, found, strict=True)])
    if unreadable:
        yield Batch([], unreadable)


def _frames(chunk: Chunk, unreadable: list[str]) -> Iterator[tuple[SourceRow, float, npt.NDArray[np.uint8]]]:
    for source in chunk.sources:
        try:
            for frame in read_file(source.file, source.fps, chunk.begin, chunk.end):
                yield source, frame.time, frame.pixels
        except UserError as error:
            unreadable.append(str(error))


def _people(source: SourceRow, time: float, pixels: npt.NDArray[np.uint8], found: ImageDetections) -> FramePeople:
    """What the network found, as it is stored: normalized embeddings in float16, boxes in float32."""
    embeddings = normalize(found.embeddings.float(), dim=1).half().float().numpy()
    boxes = found.boxes.float().numpy()
    people = People(boxes, found.scores.float().numpy(), embeddings, lambda row: thumbnail(pixels, boxes[row]))
    height, width, _ = pixels.shape
    return FramePeople(source, time, width, height, people)
