"""Makes the synthetic data set: images, annotations and retrieval protocols, like a released one.

Splits: `train` (N scenes) and `test` (half as many unless said) share the cameras, as in PRW, but no person; in each,
known people come back again and again among passers-by who appear once. `pretrain` (N scenes) has boxes only: other
streets, other people, each of them once; p20 to p180 are parts of it, and more than it, for the study of annotation
fractions.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from rich.console import Console
from rich.progress import track

from spnet.data.converters.builder import FIRST_UNKNOWN_ID
from spnet.data.converters.fraction_subsets import fraction_subsets
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.schema import Split, image_record, person_record, write_files
from spnet.errors import UserError
from spnet.files import atomic_directory, check_output_is_free
from spnet.synthetic.camera import ImageArray
from spnet.synthetic.retrieval import protocols_of
from spnet.synthetic.scenario import (
    QUERIES,
    SIZE,
    TEST,
    TRAIN,
    UNKNOWN,
    Appearance,
    fine_tuning_scenes,
    pretraining_scenes,
)  # fmt: skip

_FEWEST_SCENES, _FEWEST_IDENTITIES = 12, 4
_SCENES_PER_IDENTITY = 2.5  # fewest train scenes an identity: then it is cast about four times in the test scenes
_FIRST_KNOWN_ID = 1  # as in CUHK-SYSU and PRW
_JPEG_QUALITY = 90
_IMAGES = "images"


def prepare_synthetic(
    output: Path,
    scenes: int = 300,
    identities: int = 50,
    seed: int = 0,
    test_scenes: int | None = None,
    test_identities: int | None = None,
) -> ConvertedDataset:
    """Render a data set into the new folder `output`. The same arguments give the same bytes.

    Args:
        output: must not exist.
        scenes: of train, and as many of pre-training.
        identities: known people in train.
        seed: of everything.
        test_scenes: of test; not given: half as many as of train.
        test_identities: known people in test, others than those of train; not given: as many.

    Raises:
        UserError: too few scenes, too many identities for them, a negative seed, or an `output` that is taken.
    """
    test_scenes = scenes // 2 if test_scenes is None else test_scenes
    test_identities = identities if test_identities is None else test_identities
    check_counts(scenes, identities, seed, test_scenes, test_identities)
    check_output_is_free(output)
    known = {"train": identities, "test": test_identities}
    sources = {
        "train": (scenes, fine_tuning_scenes(TRAIN, scenes, identities, seed)),
        "test": (test_scenes, fine_tuning_scenes(TEST, test_scenes, test_identities, seed)),
        "pretrain": (scenes, pretraining_scenes(scenes, seed)),
    }
    console = Console(stderr=True)
    with one_thread(), atomic_directory(output) as folder:
        writer = Writer(folder)
        for name, (length, source) in sources.items():
            scenes_of_split = track(
                source, f"rendering {name}", length, console=console, disable=not console.is_terminal
            )
            first_known = _FIRST_KNOWN_ID + (identities if name == "test" else 0)
            writer.write(name, scenes_of_split, first_known)
            if name != "pretrain":
                check_seen(name, writer.splits[name], range(first_known, first_known + known[name]))
        protocols = protocols_of(writer.splits["test"], np.random.default_rng([seed, QUERIES]))
        splits = {**writer.splits, **fraction_subsets(writer.splits, "pretrain")}
        write_files(folder, splits, protocols)
    return ConvertedDataset(splits, protocols)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps OpenCV to one thread: on images this small more threads cost more than they gain."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


class Writer:
    """Saves images and keeps their records; scenes, boxes and unknown persons are counted through all splits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.splits: dict[str, Split] = {}
        self._images, self._boxes, self._unknown_ids = count(), count(), count(FIRST_UNKNOWN_ID)

    def write(self, name: str, appearances: Iterable[Appearance], first_known: int) -> None:
        """Add split `name`; in `pretrain` every box is a known person of its own, to be found at IoU 0.5."""
        split = self.splits[name] = Split([], [], _IMAGES)
        (self.folder / _IMAGES / name).mkdir(parents=True)
        boxes_only = name == "pretrain"
        for number, appearance in enumerate(appearances):
            image = next(self._images)
            file_name = f"{name}/c{appearance.camera + 1}_{number:06d}.jpg"
            split.images.append(image_record(image, file_name, *SIZE, appearance.camera + 1))
            (self.folder / _IMAGES / file_name).write_bytes(encode(appearance.rendered.image))
            for person, (left, top, right, bottom) in zip(appearance.people, appearance.rendered.boxes, strict=True):
                is_unknown = person == UNKNOWN
                identity = next(self._unknown_ids) if is_unknown else first_known + person
                box = (left, top, right - left, bottom - top)
                threshold = 0.5 if boxes_only else None
                known = boxes_only or not is_unknown
                split.annotations.append(person_record(next(self._boxes), image, box, identity, known, threshold))


def encode(image: ImageArray) -> bytes:
    """The image as a JPEG file."""
    jpeg: bytes = simplejpeg.encode_jpeg(image, quality=_JPEG_QUALITY, colorspace="RGB")
    return jpeg


def check_seen(name: str, split: Split, persons: Iterable[int]) -> None:
    """Raise UserError unless each of the known `persons` is seen by two cameras; only chance near the limits fails."""
    option = "--test-" if name == "test" else "--"
    camera = {image["id"]: image["cam_id"] for image in split.images}
    views = {(record["person_id"], camera[record["image_id"]]) for record in split.annotations}
    cameras = Counter(person for person, _ in views)
    for person in persons:
        if cameras[person] < 2:
            seen = f"person {person} of {name} is seen by {cameras[person]} cameras"
            raise UserError(f"{option}identities: {seen}; take more {option}scenes")


def check_counts(scenes: int, identities: int, seed: int, test_scenes: int, test_identities: int) -> None:
    """Raise UserError for a data set that cannot be made, naming the option."""
    _check_part("--", scenes, identities, _FEWEST_SCENES, scenes)
    # half of the train scenes is enough for as many people, and half of an odd number is rounded
    _check_part("--test-", test_scenes, test_identities, _FEWEST_SCENES // 2, 2 * test_scenes + 1)
    if seed < 0:
        raise UserError(f"--seed {seed}: it must be 0 or more")


def _check_part(option: str, scenes: int, identities: int, fewest: int, train_scenes: int) -> None:
    """Are there enough scenes of a part for its people? `train_scenes`: as many of train would be."""
    if scenes < fewest:
        raise UserError(f"{option}scenes {scenes}: at least {fewest} are needed")
    most = min(int(train_scenes / _SCENES_PER_IDENTITY), (FIRST_UNKNOWN_ID - _FIRST_KNOWN_ID) // 2)
    if not _FEWEST_IDENTITIES <= identities <= most:
        raise UserError(
            f"{option}identities {identities}: with {option}scenes {scenes} it can be {_FEWEST_IDENTITIES} to {most}, "
            "so that everybody is seen several times"
        )
