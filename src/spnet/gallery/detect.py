"""Detections alone: boxes rendered on images, and a CSV of them."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from spnet.data.video import Frame, VideoWriter, read_frames
from spnet.errors import UserError
from spnet.files import atomic_directory, check_output_is_free
from spnet.gallery.prefetch import prefetch
from spnet.gallery.sources import kind_of
from spnet.gallery.thumbnails import encode
from spnet.inference.images import read_pixels
from spnet.inference.searcher import ImageDetections, Searcher

CSV_NAME = "detections.csv"
COLUMNS = ("file", "time", "left", "top", "right", "bottom", "score")
COLOR = (80, 145, 255)


def detect_files(
    searcher: Searcher, files: Sequence[Path], output: Path, fps: float
) -> tuple[int, int, tuple[str, ...]]:
    """Write every file again with boxes on it, and one CSV with a row a person, into the new folder `output`.

    Returns:
        images looked at, people found, and a line for each file that cannot be read.

    Raises:
        UserError: `output` exists.
    """
    check_output_is_free(output)
    images, people, unreadable = 0, 0, []
    with atomic_directory(output) as folder, (folder / CSV_NAME).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for number, file in enumerate(files):
            name = folder / f"{number:04d}_{file.stem}"
            try:
                for frame, found in _detect(searcher, file, name, fps):
                    images, people = images + 1, people + len(found.boxes)
                    for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
                        table.writerow((file, f"{frame.time:.3f}", *(f"{side:.1f}" for side in box), f"{score:.4f}"))
            except UserError as error:
                unreadable.append(str(error))
    return images, people, tuple(unreadable)


def render_boxes(pixels: npt.NDArray[np.uint8], found: ImageDetections) -> npt.NDArray[np.uint8]:
    """A copy of an image (H, W, 3) with the boxes of its people."""
    shown = pixels.copy()
    for left, top, right, bottom in found.boxes.round().int().tolist():
        cv2.rectangle(shown, (left, top), (right, bottom), COLOR, 2)
    return shown


def _detect(searcher: Searcher, file: Path, name: Path, fps: float) -> Iterator[tuple[Frame, ImageDetections]]:
    if kind_of(file) == "image":
        frame = Frame(0.0, read_pixels(file))
        (found,) = searcher.detect([frame.pixels])
        name.with_suffix(".jpg").write_bytes(encode(render_boxes(frame.pixels, found), max(frame.pixels.shape)))
        yield frame, found
        return
    frames = prefetch(read_frames(file, fps), 2 * searcher.batch_size)
    with ExitStack() as stack:
        writer: VideoWriter | None = None
        while batch := list(islice(frames, searcher.batch_size)):
            for frame, found in zip(batch, searcher.detect([frame.pixels for frame in batch]), strict=True):
                if writer is None:
                    height, width, _ = frame.pixels.shape
                    writer = stack.enter_context(VideoWriter(name.with_suffix(".mp4"), (width, height), fps))
                writer.write(render_boxes(frame.pixels, found))
                yield frame, found
