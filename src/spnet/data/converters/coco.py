"""One's own scenes in a COCO file whose annotations say who a person is: as CVAT and FiftyOne export them, or anybody.

The identity of an annotation is its `person_id`, or else its `track_id`, in the annotation itself or in its
`attributes`; a whole number or a text. `person_id` means the same person in every file and image; `track_id` in one
file, and there in one video where images have `video_id`. Where it is missing, null, empty or negative nobody knows who
it is.
"""

import os
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from spnet.data.converters.cocopersons import single_persons
from spnet.data.converters.image_sizes import read_sizes
from spnet.data.converters.labeled import LabeledBox, LabeledScene, convert_labeled
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.validation import Records
from spnet.errors import UserError
from spnet.files import read_json

IDENTITIES = ("person_id", "track_id")
_CAMERAS = ("cam_id", "camera", "video_id")


def prepare_coco(
    train: Path, test: Path | None = None, images: Path | None = None, category: str = "person"
) -> ConvertedDataset:
    """Convert one COCO file, or two, to the splits `train` and `test`.

    Without `test` the last third of each camera's images is the test part. `images` is the folder that `file_name` is
    relative to; not given: looked for beside and above the file. Annotations of `category` are people. Raises UserError
    for a file that is no COCO file, an image that is missing or of another size, a record that is wrong.
    """
    dropped: Counter[str] = Counter()
    parts = [_read(file, images, category, dropped) for file in (train, test) if file is not None]
    if not any(box.person is not None for part in parts for scene in part for box in scene.boxes):
        keys = " or ".join(IDENTITIES)
        raise UserError(f"{train}: no annotation of category {category!r} has {keys}, itself or in its attributes")
    root = Path(os.path.commonpath([scene.image.parent for part in parts for scene in part]))
    return convert_labeled(parts[0], parts[1] if test else [], root, str(test or train), dropped)


def _read(path: Path, images: Path | None, category: str, dropped: Counter[str]) -> list[LabeledScene]:
    document = read_json(path)
    scenes = Records.of(document, "images", "image", path)
    people = _people(document, path, category, dropped)
    if not scenes.rows:
        raise UserError(f"{path}: it holds no image")
    names, identifiers = scenes.texts("file_name"), scenes.unique_integers("id")
    folder = images or _find_images(path, names[0])
    files = [Path(os.path.abspath(folder / name)) for name in names]
    sizes = read_sizes(files)
    _check_sizes(scenes, files, sizes)
    boxes: list[list[LabeledBox]] = [[] for _ in files]
    for row, (record, scene) in enumerate(zip(people.rows, people.rows_of("image_id", identifiers), strict=True)):
        who = _identity(people, row, scenes.rows[scene].get("video_id"))
        context = f"{path}: annotation {record['id']}"
        boxes[scene].append(LabeledBox(record["bbox"], who, context))
    cameras = [_camera(record) for record in scenes.rows]
    return [LabeledScene(*scene) for scene in zip(files, sizes, cameras, boxes, strict=True)]


def _people(document: Any, path: Path, category: str, dropped: Counter[str]) -> Records:
    """The annotations of one category that are single persons with an area."""
    annotations = Records.of(document, "annotations", "annotation", path)
    categories = Records.of(document, "categories", "category", path)
    names = dict(zip(categories.integers("id", 0).tolist(), categories.texts("name"), strict=True))
    wanted = [number for number, name in names.items() if name.lower() == category.lower()]
    if not wanted:
        raise UserError(f"{path}: it has no category {category!r}; --category: choose {', '.join(names.values())}")
    annotations.boxes("bbox", may_be_empty=True)  # a box of any category is one
    people, counts = single_persons(annotations, wanted)
    reasons = (f"annotations of other categories than {category}", "crowds", "boxes without an area")
    dropped.update(dict(zip(reasons, counts, strict=True)))
    return people


def _identity(people: Records, row: int, video: Hashable) -> Hashable | None:
    """Who an annotation shows, None where nobody knows."""
    record = people.rows[row]
    attributes = record.get("attributes") or {}
    if not isinstance(attributes, dict):
        people.fail(row, f"attributes is {attributes!r}, not an object")
    for key in IDENTITIES:
        value = record.get(key, attributes.get(key))
        if value is None or value == "":
            continue
        if type(value) not in (int, str):
            people.fail(row, f"{key} is {value!r}, neither a whole number nor a text")
        if type(value) is int and value < 0:
            return None
        return (key, str(value)) if key == IDENTITIES[0] else (key, people.path, str(video), str(value))
    return None


def _camera(image: dict[str, Any]) -> Hashable | None:
    given = (image.get(key) for key in _CAMERAS)
    return next((str(value) for value in given if value is not None and value != -1), None)


def _find_images(path: Path, name: str) -> Path:
    """Where the images of a file are: beside it or above it, as COCO, CVAT and FiftyOne lay them out."""
    subset = path.stem.removeprefix("instances_")
    below = ("", "data", "images", f"images/{subset}", subset)
    places = [folder / part for folder in (path.parent, path.parent.parent) for part in below]
    for place in places:
        if (place / name).is_file():
            return place
    raise UserError(f"{path}: its image {name} is in none of the usual folders around it; name the one with --images")


def _check_sizes(scenes: Records, files: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> None:
    for row, (record, file, (width, height)) in enumerate(zip(scenes.rows, files, sizes, strict=True)):
        said = record.get("width", width), record.get("height", height)
        if said != (width, height):
            hint = "; its EXIF orientation turns it, and boxes must be of the pixels as stored"
            turned = hint if said == (height, width) else ""
            scenes.fail(row, f"{file} has {width}x{height} pixels, not {said[0]}x{said[1]}{turned}")
