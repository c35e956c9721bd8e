"""The files of one MOTChallenge sequence: frames, seqinfo.ini, and the rows of gt/gt.txt that count.

Ground truth rows are `frame, track, left, top, width, height, confidence` and then either `class, visibility` (MOT16,
MOT17, MOT20) or three world coordinates (MOT15); frames and pixels count from 1. Rows with confidence 0 are not to be
used, and of the classes only 1, pedestrian, is (https://motchallenge.net/instructions).
"""

import configparser
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spnet.data.converters.image_sizes import read_sizes
from spnet.errors import UserError

_PEDESTRIAN = 1
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


class TrackBox(NamedTuple):
    """A row that counts."""

    track: int
    box: tuple[float, float, float, float]  # x, y, width, height in pixels from 0, inside the image
    context: str  # file and line


@dataclass(frozen=True)
class Video:
    """One sequence: frame numbers in order, their images and sizes (width, height), and the boxes of each."""

    frames: list[int]
    images: list[Path]
    sizes: list[tuple[int, int]]
    boxes: dict[int, list[TrackBox]]


def read_video(folder: Path, dropped: Counter[str]) -> Video:
    """Read one sequence folder; rows that do not count are added to `dropped`. Raises UserError."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    info = _read_info(folder)
    paths = _frame_images(folder.resolve() / info.get("imDir", "img1"), info)
    frames = [_frame_number(path) for path in paths]
    sizes = read_sizes(paths)
    annotated = (info.get("imWidth"), info.get("imHeight"))
    for path, (width, height) in zip(paths, sizes, strict=True):
        if None not in annotated and annotated != (str(width), str(height)):
            raise UserError(f"{path}: {width}x{height} pixels, but seqinfo.ini says {annotated[0]}x{annotated[1]}")
    boxes = _read_ground_truth(folder / "gt" / "gt.txt", dict(zip(frames, sizes, strict=True)), dropped)
    return Video(frames, paths, sizes, boxes)


def _frame_images(folder: Path, info: dict[str, str]) -> list[Path]:
    """The images of all frames by number; none may be missing or there twice."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; a sequence keeps its frames there")
    paths = sorted((path for path in folder.iterdir() if path.suffix.lower() in _IMAGE_SUFFIXES), key=_frame_number)
    for path, before in zip(paths[1:], paths, strict=False):
        if _frame_number(path) == _frame_number(before):
            raise UserError(f"{path}: frame {_frame_number(path)} has another image too")
    length = info.get("seqLength", str(len(paths)))
    if not paths or length != str(len(paths)):
        raise UserError(f"{folder}: {len(paths)} images, but seqinfo.ini says seqLength={length}")
    return paths


def _read_info(folder: Path) -> dict[str, str]:
    """The section [Sequence] of seqinfo.ini; nothing where there is no such file."""
    parser = configparser.ConfigParser()
    # keys keep their case; this is how configparser documents it
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    path = folder / "seqinfo.ini"
    try:
        parser.read(path, encoding="utf-8-sig")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None
    return dict(parser["Sequence"]) if parser.has_section("Sequence") else {}


def _frame_number(path: Path) -> int:
    if not path.stem.isdecimal():
        raise UserError(f"{path}: a frame's image is named by its number")
    return int(path.stem)


def _read_ground_truth(
    path: Path, sizes: dict[int, tuple[int, int]], dropped: Counter[str]
) -> dict[int, list[TrackBox]]:
    """The boxes of every frame, in the order of the file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; sequences of a benchmark's test part come without ground truth"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    boxes: dict[int, list[TrackBox]] = defaultdict(list)
    seen: set[tuple[int, int]] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        context = f"{path}: line {number}"
        frame, track, values, reason = _parse_row(line, context)
        if frame not in sizes:
            raise UserError(f"{context}: frame {frame} has no image (frames {min(sizes)} to {max(sizes)} have)")
        if reason:
            dropped[reason] += 1
            continue
        if (frame, track) in seen:
            raise UserError(f"{context}: track {track} is in frame {frame} twice")
        seen.add((frame, track))
        box = _clip(values, *sizes[frame])
        if box is None:
            dropped["boxes without a whole pixel inside the image"] += 1
        else:
            boxes[frame].append(TrackBox(track, box, context))
    return boxes


def _parse_row(line: str, context: str) -> tuple[int, int, npt.NDArray[np.float64], str]:
    """Frame, track, [x, y, width, height] from 0, and why the row does not count ("" if it does)."""
    fields = line.split(",")
    if not 7 <= len(fields) <= 10:
        raise UserError(f"{context}: {len(fields)} columns; ground truth has 9 (MOT16 and later) or 10 (MOT15)")
    try:
        values = np.array(fields, np.float64)
    except ValueError:
        raise UserError(f"{context}: {line.strip()!r} is not numbers between commas") from None
    frame, track, confidence = values[0], values[1], values[6]
    if not np.isfinite(values).all() or (values[4:6] <= 0).any():
        raise UserError(f"{context}: box {line.strip()!r} is not finite, or has no size")
    if frame != int(frame) or track != int(track) or track < 0:
        raise UserError(
            f"{context}: frame {frame:g} and track {track:g} are not whole numbers from 1 (is it a detection?)"
        )
    reason = "rows of confidence 0" if confidence == 0 else ""
    if not reason and len(fields) in (8, 9) and values[7] != _PEDESTRIAN:
        reason = "rows of other classes than pedestrian"
    return int(frame), int(track), values[2:6] - (1, 1, 0, 0), reason


def _clip(box: npt.NDArray[np.float64], width: int, height: int) -> tuple[float, float, float, float] | None:
    """The part of [x, y, width, height] inside the image, None where it is under a pixel wide or high."""
    left, top = np.maximum(box[:2], 0)
    right, bottom = np.minimum(box[:2] + box[2:], (width, height))
    if right - left < 1 or bottom - top < 1:
        return None
    return float(left), float(top), float(right - left), float(bottom - top)
