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

QUERIES_OF_A_PERSON = 3
TEST_SHARE = 1 / 3  # of the frames, where no test sequence is named
SAME_PEOPLE = "train and test are parts of the same sequences: the same people are in both"


def prepare_mot(train: Sequence[Path], test: Sequence[Path] = ()) -> ConvertedDataset:
    """Convert sequence folders (`seqinfo.ini`, `img1/`, `gt/gt.txt`) to the splits `train` and `test`.

    Without `test` the last third of every sequence's frames is the test part; the same people then walk through both.
    Raises UserError where a sequence is incomplete or a row makes no sense.
    """
    folders = [*train, *test]
    for row, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:row]]:
            raise UserError(f"{folder}: the sequence is named twice")
    dropped: Counter[str] = Counter()
    videos = [read_video(folder, dropped) for folder in folders]
    root = Path(os.path.commonpath([folder.resolve().parent for folder in folders]))
    builder = DatasetBuilder()
    persons: dict[tuple[int, int], int] = {}
    for name, parts in _divide(videos, len(train)).items():
        builder.open_split(name, root)
        for camera, rows in enumerate(parts, 1):
            _add_frames(builder, videos[camera - 1], rows, camera, root, persons)
        if not builder.splits[name].annotations:
            raise UserError(f"{folders[0]}: the {name} part would have no person")
    protocol = search_protocol(builder.splits["test"], QUERIES_OF_A_PERSON)
    if not protocol["queries"]:
        raise UserError(f"{folders[-1]}: nobody is in two test frames, so there is nobody to search for")
    return ConvertedDataset(builder.splits, {"test": protocol}, dict(dropped), notes=[] if test else [SAME_PEOPLE])


def _divide(videos: Sequence[Video], train_videos: int) -> dict[str, list[range]]:
    """Rows of each video's frames that are train, and those that are test."""
    parts: dict[str, list[range]] = {"train": [], "test": []}
    for number, video in enumerate(videos):
        count = len(video.frames)
        if train_videos == len(videos):
            first_test = count - int(TEST_SHARE * count)
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
        for track, box, where in video.boxes.get(video.frames[row], ()):
            builder.add_person(image, box, persons.setdefault((camera, track), len(persons)), where)
