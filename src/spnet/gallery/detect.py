"""Detections alone: boxes rendered on images, and a CSV of them."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from spnet.data.sources import kind_of
from spnet.data.video import VideoWriter
from spnet.files import atomic_directory, check_output_is_free
from spnet.inference.searcher import ImageDetections, Prediction, Searcher
from spnet.reports.images import encode_jpeg

CSV_NAME = "detections.csv"
COLUMNS = ("file", "time", "left", "top", "right", "bottom", "score")
COLOR = (80, 145, 255)


def detect_files(
    searcher: Searcher, files: Sequence[Path], output: Path, fps: float
) -> tuple[int, int, tuple[str, ...]]:
    """Write every file again with boxes on it, and one CSV with a row a person, into the new folder `output`.

    Returns images looked at, people found, and a line for each file that cannot be read. Raises UserError where
    `output` exists, or `fps` is none that can be read.
    """
    check_output_is_free(output)
    images, people, unreadable = 0, 0, []
    predictions = searcher.predict(files, fps, on_error=lambda error: unreadable.append(str(error)))
    numbers = {str(file): number for number, file in enumerate(files)}
    with atomic_directory(output) as folder, (folder / CSV_NAME).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for file, frames in groupby(predictions, attrgetter("file")):
            name = folder / f"{numbers[file]:04d}_{Path(file).stem}"
            for frame in _written(frames, name, fps if kind_of(Path(file)) == "video" else None):
                images, people = images + 1, people + len(frame.boxes)
                for box, score in zip(frame.boxes.tolist(), frame.scores.tolist(), strict=True):
                    table.writerow((file, f"{frame.time:.3f}", *(f"{side:.1f}" for side in box), f"{score:.4f}"))
    return images, people, tuple(unreadable)


def render_boxes(pixels: npt.NDArray[np.uint8], found: ImageDetections) -> npt.NDArray[np.uint8]:
    """A copy of an image (H, W, 3) with the boxes of its people."""
    shown = pixels.copy()
    for left, top, right, bottom in found.boxes.round().int().tolist():
        cv2.rectangle(shown, (left, top), (right, bottom), COLOR, 2)
    return shown


def _written(frames: Iterable[Prediction], name: Path, fps: float | None) -> Iterator[Prediction]:
    """The same frames of one file, an image where there is no `fps`, each once it is written with boxes on it."""
    if fps is None:
        for frame in frames:
            shown = render_boxes(frame.pixels, frame)
            name.with_suffix(".jpg").write_bytes(encode_jpeg(shown, max(shown.shape)))
            yield frame
    else:
        with VideoWriter(name.with_suffix(".mp4"), fps) as writer:
            for frame in frames:
                writer.write(render_boxes(frame.pixels, frame))
                yield frame
