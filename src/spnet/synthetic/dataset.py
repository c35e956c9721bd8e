"""Makes the synthetic data set: images, annotations and retrieval protocols, like a released one.

Splits: `train` (N scenes) and `test` (half as many unless said) share the cameras, as in PRW, but no person; in each,
known people come back again and again among passers-by who appear once. `pretrain` (N scenes) has boxes only: other
streets, other people, each of them once; p20 to p180 are parts of it, and more than it, for the study of annotation
fractions.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from spnet.data.converters.builder import FIRST_UNKNOWN_ID, DatasetBuilder
from spnet.data.converters.coco_subsets import fraction_subsets
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.schema import Split, write_files
from spnet.errors import UserError
from spnet.files import atomic_directory, check_output_is_free
from spnet.progress import show_progress
from spnet.synthetic import scenario
from spnet.synthetic.camera import ImageArray
from spnet.synthetic.retrieval import protocols_of
from spnet.synthetic.scenario import Appearance

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

    There are as many scenes of pre-training as of train, half as many of test, and as many known people (others) in
    test as in train, unless `test_scenes` and `test_identities` say otherwise. Raises UserError for too few scenes, too
    many identities for them, a negative seed, or an `output` that is taken.
    """
    test_scenes = scenes // 2 if test_scenes is None else test_scenes
    test_identities = identities if test_identities is None else test_identities
    check_counts(scenes, identities, seed, test_scenes, test_identities)
    check_output_is_free(output)
    ids = range(_FIRST_KNOWN_ID, _FIRST_KNOWN_ID + identities + test_identities)
    known = {"train": ids[:identities], "test": ids[identities:], "pretrain": ids[:0]}
    sources = {
        "train": (scenes, scenario.fine_tuning_scenes(scenario.TRAIN, scenes, identities, seed)),
        "test": (test_scenes, scenario.fine_tuning_scenes(scenario.TEST, test_scenes, test_identities, seed)),
        "pretrain": (scenes, scenario.pretraining_scenes(scenes, seed)),
    }
    builder, unknown = DatasetBuilder(), count(FIRST_UNKNOWN_ID)
    with one_thread(), atomic_directory(output) as folder:
        for name, (length, source) in sources.items():
            builder.open_split(name, _IMAGES)
            (folder / _IMAGES / name).mkdir(parents=True)
            for number, appearance in enumerate(show_progress(source, f"rendering {name}", length)):
                file_name = f"{name}/c{appearance.camera + 1}_{number:06d}.jpg"
                (folder / _IMAGES / file_name).write_bytes(encode(appearance.rendered.image))
                _add_scene(builder, file_name, appearance, known[name], unknown)
            check_seen(name, builder.splits[name], known[name])
        protocols = protocols_of(builder.splits["test"], np.random.default_rng([seed, scenario.QUERIES]))
        splits = {**builder.splits, **fraction_subsets(builder.splits, "pretrain")}
        write_files(folder, splits, protocols)
    return ConvertedDataset(splits, protocols)


def _add_scene(
    builder: DatasetBuilder, file_name: str, appearance: Appearance, known: Sequence[int], unknown: Iterator[int]
) -> None:
    """Add a scene; without `known` persons every box is a known person of its own, to be found at IoU 0.5."""
    image = builder.add_scene(file_name, scenario.SIZE, appearance.camera + 1)
    threshold = None if known else 0.5
    for person, (left, top, right, bottom) in zip(appearance.people, appearance.rendered.boxes, strict=True):
        is_known = person != scenario.UNKNOWN
        number = known[person] if is_known else next(unknown)
        box = (left, top, right - left, bottom - top)
        builder.add_person(image, box, number, file_name, is_known or not known, iou_threshold=threshold)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps OpenCV to one thread: on images this small more threads cost more than they gain."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


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
