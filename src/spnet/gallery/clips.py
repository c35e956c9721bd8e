"""Cuts videos around hits."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from spnet.data.sources import kind_of
from spnet.data.video import VideoWriter, read_frames
from spnet.errors import UserError
from spnet.files import atomic_directory
from spnet.gallery.results import Hit
from spnet.gallery.tracklets import Array

AROUND = 1.0  # seconds before and after a hit
CLIP_FPS = 12.0
BOX_COLOR = (80, 145, 255)
BLUR = 0.03  # of the image's height: nothing of a face is left
Path2D = Sequence[tuple[float, Array]]  # times and boxes (4,) of a person, by time


def write_clips(output: Path, hits: Sequence[Hit], path_of: Callable[[Hit], Path2D], blur: bool) -> list[Path]:
    """Write a clip of each hit in a video into a new folder, the person boxed.

    With `blur` everything but the person's box is blurred, so that nobody whom the detection missed stays to be seen.
    Raises UserError where `output` exists, a video cannot be read, or no hit is in a video.
    """
    in_videos = [(rank, hit) for rank, hit in enumerate(hits, 1) if kind_of(Path(hit.file)) == "video"]
    if not in_videos:
        raise UserError("--clips: no hit is in a video")
    with atomic_directory(output) as folder:
        names = [write_clip(folder, rank, hit, path_of(hit), blur) for rank, hit in in_videos]
    return [output / name for name in names]


def write_clip(folder: Path, rank: int, hit: Hit, path: Path2D, blur: bool) -> str:
    """Write one clip and return its name. Raises UserError."""
    camera = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in hit.camera)
    name = f"{rank:02d}_{camera}_{hit.first:.1f}s.mp4"
    with VideoWriter(folder / name, CLIP_FPS) as writer:
        frames = read_frames(Path(hit.file), CLIP_FPS, max(0.0, hit.first - AROUND))
        for frame in takewhile(lambda frame: frame.time <= hit.last + AROUND, frames):
            writer.write(mark(frame.pixels, interpolate(path, frame.time), blur))
    return name


def mark(pixels: npt.NDArray[np.uint8], box: Array | None, blur: bool) -> npt.NDArray[np.uint8]:
    """An image (H, W, 3) with a box (4,) in pixels xyxy around the person, everything else blurred if asked."""
    height, width, _ = pixels.shape
    shown = np.asarray(cv2.GaussianBlur(pixels, (0, 0), BLUR * height), np.uint8) if blur else pixels.copy()
    if box is not None:
        left, top, right, bottom = np.rint(box).astype(int).clip(0, [width, height] * 2).tolist()
        shown[top:bottom, left:right] = pixels[top:bottom, left:right]
        cv2.rectangle(shown, (left, top), (right, bottom), BOX_COLOR, 2)
    return shown


def interpolate(path: Path2D, time: float) -> Array | None:
    """The box (4,) at a time, between those of the indexed frames; None before the first and after the last."""
    times = np.array([moment for moment, _ in path])
    if not len(times) or not times[0] <= time <= times[-1]:
        return None
    boxes = np.stack([box for _, box in path])
    return np.array([np.interp(time, times, boxes[:, side]) for side in range(4)], np.float32)
