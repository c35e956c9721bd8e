"""Tiny videos, and the settings of a network that finds something in each frame."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from spnet.config.schema import InferenceConfig
from spnet.data.video import VideoWriter

WIDTH, HEIGHT = 96, 64
START = 1_780_000_000.0  # seconds since 1970
# scores of a network that learned nothing mean nothing: everything is kept
INFERENCE = InferenceConfig(
    min_size=64, max_size=96, score_threshold=0.0, object_pre_nms_topk=60, query_pre_nms_topk=30, max_detections=4
)


def render(time: float, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A frame (H, W, 3): two rectangles that walk towards one another over noise."""
    image = np.random.default_rng(seed).integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    for color, x in (((250, 40, 40), 4 + 8 * time), ((40, 250, 40), 74 - 8 * time)):
        image[12:56, int(x) : int(x) + 16] = color
    return image


def write_walk(file: Path, seconds: float = 4.0, fps: int = 10, seed: int = 0, start: float | None = START) -> Path:
    """Write a video."""
    with VideoWriter(file, fps, start) as writer:
        for frame in range(round(seconds * fps)):
            writer.write(render(frame / fps, seed))
    return file


def bytes_on_disk(folder: Path, wanted: bytes) -> int:
    """How often some bytes occur in the files below a folder."""
    return sum(file.read_bytes().count(wanted) for file in folder.rglob("*") if file.is_file())
