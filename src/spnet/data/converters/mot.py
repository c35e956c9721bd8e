"""MOTChallenge sequences as person search data: a track is an identity, a frame a scene, a sequence a camera.

Rows of gt/gt.txt are `frame, track, left, top, width, height, confidence` and then either `class, visibility` (MOT16,
MOT17, MOT20) or three world coordinates (MOT15); frames and pixels count from 1. Rows with confidence 0 are not to be
used, and of the classes only 1, pedestrian, is (https://motchallenge.net/instructions).
"""

import configparser
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spnet.data.converters.find_release import read_lines
from spnet.data.converters.image_sizes import read_sizes
from spnet.data.converters.labeled import LabeledBox, LabeledScene, check_named_once, convert_labeled
from spnet.data.converters.summary import ConvertedDataset
from spnet.errors import UserError

_PEDESTRIAN = 1
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


def prepare_mot(train: Sequence[Path], test: Sequence[Path] = (), every: int = 1) -> ConvertedDataset:
    """Convert sequence folders (`seqinfo.ini`, `img1/`, `gt/gt.txt`) to the splits `train` and `test`.

    Without `test` the last third of every sequence's frames is the test part, and the same persons are in both parts.
    Of each sequence every `every`-th frame is kept, beginning with its first: in a video at 30 frames a second,
    neighboring frames show the same. Raises UserError where a sequence is incomplete or shorter than `every`, or a row
    is wrong.
    """
    if every < 1:
        raise UserError(f"--every {every}: must be 1 or more")
    folders = [*train, *test]
    check_named_once(folders, "sequence")
    dropped: Counter[str] = Counter()
    first, rest = (
        [scene for folder in part for scene in read_sequence(folder, dropped, every)] for part in (train, test)
    )
    root = Path(os.path.commonpath([folder.resolve().parent for folder in folders]))
    return convert_labeled(first, rest, root, str(folders[-1]), dropped)


def read_sequence(folder: Path, dropped: Counter[str], every: int = 1) -> list[LabeledScene]:
    """Every `every`-th frame of a sequence, from its first on; what does not count is added to `dropped`."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    info = _read_info(folder / "seqinfo.ini")
    paths = _frame_images(folder.resolve() / info.get("imDir", "img1"), info)
    sizes = read_sizes(paths)
    annotated = (info.get("imWidth"), info.get("imHeight"))
    for path, (width, height) in zip(paths, sizes, strict=True):
        if None not in annotated and annotated != (str(width), str(height)):
            raise UserError(f"{path}: {width}x{height} pixels, but seqinfo.ini says {annotated[0]}x{annotated[1]}")
    frames = [_frame_number(path) for path in paths]
    boxes = _read_ground_truth(folder / "gt" / "gt.txt", dict(zip(frames, sizes, strict=True)), dropped)
    if every > len(paths):
        raise UserError(f"--every {every}: {folder} has only {len(paths)} frames")
    kept = range(0, len(paths), every)
    dropped[f"frames that --every {every} skips"] += len(paths) - len(kept)
    return [LabeledScene(paths[row], sizes[row], folder, boxes[frames[row]]) for row in kept]


def _read_info(path: Path) -> dict[str, str]:
    """The section [Sequence] of seqinfo.ini; nothing where there is no such file."""
    parser = configparser.ConfigParser()
    # keys keep their case; this is how configparser documents it
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read(path, encoding="utf-8-sig")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None
    return dict(parser["Sequence"]) if parser.has_section("Sequence") else {}


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


def _frame_number(path: Path) -> int:
    if not path.stem.isdecimal():
        raise UserError(f"{path}: a frame's image is named by its number")
    return int(path.stem)


def _read_ground_truth(
    path: Path, sizes: dict[int, tuple[int, int]], dropped: Counter[str]
) -> defaultdict[int, list[LabeledBox]]:
    """The boxes of every frame, in the order of the file; an identity is a track of this file."""
    boxes: defaultdict[int, list[LabeledBox]] = defaultdict(list)
    seen: set[tuple[int, int]] = set()
    for number, line in read_lines(path, "sequences of a benchmark's test part come without ground truth"):
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
            boxes[frame].append(LabeledBox(box, (path, track), context))
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
