"""MOTChallenge sequences as person search data: a track is an identity, a frame a scene, a sequence a camera."""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from spnet.data.converters.labeled import LabeledBox, LabeledScene, convert_labeled
from spnet.data.converters.mot_reader import Video, read_video
from spnet.data.converters.summary import ConvertedDataset
from spnet.errors import UserError


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
    for row, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:row]]:
            raise UserError(f"{folder}: the sequence is named twice")
    dropped: Counter[str] = Counter()
    videos = [_subsample(read_video(folder, dropped), folder, every, dropped) for folder in folders]
    root = Path(os.path.commonpath([folder.resolve().parent for folder in folders]))
    scenes = [_scenes(video, camera) for camera, video in enumerate(videos)]
    first, rest = (list(chain.from_iterable(part)) for part in (scenes[: len(train)], scenes[len(train) :]))
    return convert_labeled(first, rest, root, str(folders[-1]), dropped)


def _subsample(video: Video, folder: Path, every: int, dropped: Counter[str]) -> Video:
    """Keep every `every`-th frame of a video, beginning with its first."""
    if every == 1:
        return video
    if every > len(video.frames):
        raise UserError(f"--every {every}: {folder} has only {len(video.frames)} frames")
    frames = video.frames[::every]
    dropped[f"frames that --every {every} skips"] += len(video.frames) - len(frames)
    return Video(frames, video.images[::every], video.sizes[::every], video.boxes)


def _scenes(video: Video, camera: int) -> list[LabeledScene]:
    """A video's frames, with its tracks as persons of its own."""
    return [
        LabeledScene(
            image,
            size,
            camera,
            [LabeledBox(box, (camera, track), context) for track, box, context in video.boxes.get(frame, ())],
        )
        for frame, image, size in zip(video.frames, video.images, video.sizes, strict=True)
    ]
