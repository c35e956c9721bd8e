"""MOTChallenge sequences as person search data: a track is an identity, a frame a scene, a sequence a camera."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from spnet.data.converters.builder import DatasetBuilder
from spnet.data.converters.mot_reader import Video, read_video
from spnet.data.converters.queries import search_protocol
from spnet.data.converters.summary import ConvertedDataset
from spnet.errors import UserError

_QUERIES_PER_PERSON = 3
_TEST_SHARE = 1 / 3  # of the frames, where no test sequence is named
_SAME_PERSONS = "train and test are parts of the same sequences: the same people are in both"


def prepare_mot(train: Sequence[Path], test: Sequence[Path] = (), every: int = 1) -> ConvertedDataset:
    """Convert sequence folders (`seqinfo.ini`, `img1/`, `gt/gt.txt`) to the splits `train` and `test`.

    Without `test` the last third of every sequence's frames is the test part, and the same persons are in both parts.
    Of each sequence every `every`-th frame is kept, beginning with its first: in a video at 30 frames a second,
    neighboring frames show the same. Raises UserError where a sequence is
    incomplete or shorter than `every`, or a row is wrong.
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
    builder = DatasetBuilder()
    persons: dict[tuple[int, int], int] = {}
    for name, parts in _divide(videos, len(train)).items():
        builder.open_split(name, root)
        for camera, rows in enumerate(parts, 1):
            _add_frames(builder, videos[camera - 1], rows, camera, root, persons)
        if not builder.splits[name].annotations:
            raise UserError(f"{folders[0]}: the {name} part would have no person")
    protocol = search_protocol(builder.splits["test"], _QUERIES_PER_PERSON)
    if not protocol["queries"]:
        raise UserError(f"{folders[-1]}: no person is in two test frames, so there is no query")
    return ConvertedDataset(builder.splits, {"test": protocol}, dict(dropped), notes=[] if test else [_SAME_PERSONS])


def _subsample(video: Video, folder: Path, every: int, dropped: Counter[str]) -> Video:
    """Keep every `every`-th frame of a video, beginning with its first."""
    if every == 1:
        return video
    if every > len(video.frames):
        raise UserError(f"--every {every}: {folder} has only {len(video.frames)} frames")
    frames = video.frames[::every]
    dropped[f"frames that --every {every} skips"] += len(video.frames) - len(frames)
    return Video(frames, video.images[::every], video.sizes[::every], video.boxes)


def _divide(videos: Sequence[Video], train_videos: int) -> dict[str, list[range]]:
    """Rows of each video's frames that are train, and those that are test."""
    parts: dict[str, list[range]] = {"train": [], "test": []}
    for number, video in enumerate(videos):
        count = len(video.frames)
        if train_videos == len(videos):
            first_test = count - int(_TEST_SHARE * count)
        else:
            first_test = count if number < train_videos else 0
        parts["train"].append(range(first_test))
        parts["test"].append(range(first_test, count))
    return parts


def _add_frames(
    builder: DatasetBuilder,
    video: Video,
    rows: range,
    camera: int,
    root: Path,
    persons: dict[tuple[int, int], int],
) -> None:
    """Add frames to the open split; `persons` numbers (camera, track) as they come, through all splits."""
    for row in rows:
        image = builder.add_scene(video.images[row].relative_to(root).as_posix(), video.sizes[row], camera)
        for track, box, context in video.boxes.get(video.frames[row], ()):
            builder.add_person(image, box, persons.setdefault((camera, track), len(persons)), context)
