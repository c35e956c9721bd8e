"""The annotation format every source is converted to, and the only place that reads or writes it.

A prepared data set is a folder:

    DIR/annotations/<split>.json     COCO JSON with person fields
    DIR/retrieval/<protocol>.json    queries and galleries

Annotations add to COCO `person_id`, `is_known`, `iou_thresh`; images add `cam_id`; `info.image_root` says where the
images are (absolute, or relative to DIR).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from spnet.data.validation import Records
from spnet.errors import UserError
from spnet.files import atomic_directory, read_json, write_json

MAX_BOXES_PER_PERSON = 2  # in one scene; the releases have two in a few scenes, three is a mistake


@dataclass(frozen=True)
class Annotations:
    """One split: S scenes and N boxes as arrays, in the order of the file."""

    image_root: Path
    file_names: tuple[str, ...]  # (S,)
    scene_ids: npt.NDArray[np.int64]  # (S,)
    sizes: npt.NDArray[np.int64]  # (S, 2) width, height in pixels
    cameras: npt.NDArray[np.int64]  # (S,) -1 where no camera is given
    box_ids: npt.NDArray[np.int64]  # (N,)
    box_scene: npt.NDArray[np.int64]  # (N,) row into the scenes
    boxes: npt.NDArray[np.float64]  # (N, 4) pixels xyxy
    person_ids: npt.NDArray[np.int64]  # (N,)
    is_known: npt.NDArray[np.bool_]  # (N,)
    iou_thresholds: npt.NDArray[np.float64]  # (N,)


class ImageRecord(TypedDict):
    """A scene as COCO writes it, made by `image_record`."""

    id: int
    file_name: str
    width: int
    height: int
    cam_id: int


class PersonRecord(TypedDict):
    """A box as COCO writes it, made by `person_record`."""

    id: int
    image_id: int
    bbox: list[float]  # x, y, width, height in pixels
    area: float
    person_id: int
    is_known: bool
    iou_thresh: float
    category_id: int
    iscrowd: int


class ProtocolRecord(TypedDict):
    """A retrieval protocol as its file holds it (spnet.evaluation.protocols)."""

    queries: list[int] | dict[str, list[int]]  # annotation ids, or the gallery of each: scene ids
    images: list[int] | Literal["all"]  # scene ids


@dataclass(frozen=True)
class Split:
    """One split to be written: its records and where its images are."""

    images: list[ImageRecord]
    annotations: list[PersonRecord]
    image_root: str  # absolute, or relative to the data set's folder


def image_record(identifier: int, file_name: str, width: int, height: int, camera: int = -1) -> ImageRecord:
    """A scene's record; `file_name` is relative to the split's image root, the size is in pixels."""
    return {"id": identifier, "file_name": file_name, "width": width, "height": height, "cam_id": camera}


def person_record(
    identifier: int,
    image: int,
    box: Sequence[float],
    person: int,
    is_known: bool = True,
    iou_threshold: float | None = None,
) -> PersonRecord:
    """A box's record; `box` is [x, y, width, height] in pixels.

    Without `iou_threshold` it is min(0.5, wh / ((w + 10)(h + 10))): small boxes may be missed by a few pixels
    (docs/method.md, "Data").
    """
    x, y, width, height = map(float, box)
    if iou_threshold is None:
        iou_threshold = min(0.5, width * height / ((width + 10) * (height + 10)))
    return {
        "id": identifier,
        "image_id": image,
        "bbox": [x, y, width, height],
        "area": width * height,
        "person_id": person,
        "is_known": is_known,
        "iou_thresh": iou_threshold,
        "category_id": 1,
        "iscrowd": 0,
    }


def read_annotations(path: Path) -> Annotations:
    """Read and validate `DIR/annotations/<split>.json`.

    A box may reach over the image's edge (the releases have such boxes, and published numbers were made with them as
    they are); one without any pixel inside the image is an error, as are unknown or repeated ids, numbers that are
    not finite, empty boxes, crowds, a person both known and unknown, and three boxes of a person in a scene. All of
    them raise UserError naming the record. Whether the images exist is `check_images_exist`'s question.
    """
    return parse_annotations(read_json(path), path)


def parse_annotations(document: Any, path: Path) -> Annotations:
    """What `read_annotations` does with the content of the file at `path`."""
    images = Records.of(document, "images", "image", path)
    persons = Records.of(document, "annotations", "annotation", path)
    for records in (images, persons):
        if not records.rows:
            raise UserError(f"{path}: it holds no {records.kind}")
    scene_ids = images.unique_integers("id")
    annotations = Annotations(
        image_root=_image_root(document, path),
        file_names=images.texts("file_name"),
        scene_ids=scene_ids,
        sizes=np.stack([images.integers("width", 1), images.integers("height", 1)], axis=1),
        cameras=images.integers("cam_id", -1, default=-1),
        box_ids=persons.unique_integers("id"),
        box_scene=persons.rows_of("image_id", scene_ids),
        boxes=persons.boxes("bbox"),
        person_ids=persons.integers("person_id", 0),
        is_known=persons.booleans("is_known"),
        iou_thresholds=persons.numbers("iou_thresh", default=0.5),
    )
    _check_persons(annotations, persons)
    return annotations


def _image_root(document: Any, path: Path) -> Path:
    info = document.get("info")
    root = info.get("image_root") if isinstance(info, Mapping) else None
    if not isinstance(root, str) or not root:
        raise UserError(f"{path}: info.image_root is missing: it says where the images are")
    return path.parent.parent / root


def _check_persons(annotations: Annotations, records: Records) -> None:
    """What is wrong with a box only beside others or in its scene."""
    width, height = annotations.sizes[annotations.box_scene].T
    left, top, right, bottom = annotations.boxes.T
    outside = (left >= width) | (top >= height) | (right <= 0) | (bottom <= 0)
    if outside.any():
        row = int(outside.argmax())
        shown = f"bbox {records.rows[row]['bbox']} lies outside its {width[row]}x{height[row]} image"
        records.refuse(outside, shown)
    threshold = annotations.iou_thresholds
    records.refuse((threshold <= 0) | (threshold > 1), "iou_thresh is not in (0, 1]")
    records.refuse(records.integers("iscrowd", 0, default=0) > 0, "iscrowd is set: a crowd is no person")
    records.refuse(records.integers("category_id", 0, default=1) != 1, "category_id is not 1, person")
    _, person = np.unique(annotations.person_ids, return_inverse=True)
    known_boxes = np.bincount(person, annotations.is_known)[person]
    mixed = (known_boxes > 0) & ~annotations.is_known
    records.refuse(mixed, "its person_id is known in another annotation and not in this one")
    appearance = person * len(annotations.scene_ids) + annotations.box_scene
    _, group, counts = np.unique(appearance, return_inverse=True, return_counts=True)
    crowded = counts[group] > MAX_BOXES_PER_PERSON
    if crowded.any():
        row = int(crowded.argmax())
        image, who = records.rows[row]["image_id"], records.rows[row]["person_id"]
        records.fail(row, f"person {who} has {counts[group][row]} boxes in image {image}: at most 2 are possible")


def check_images_exist(annotations: Annotations) -> None:
    """Raise UserError with the first missing image and how many are missing; for before training starts."""
    missing = [name for name in annotations.file_names if not (annotations.image_root / name).is_file()]
    if missing:
        total = len(annotations.file_names)
        raise UserError(f"{annotations.image_root / missing[0]}: no such image ({len(missing)} of {total} are missing)")


def write_dataset(output: Path, splits: Mapping[str, Split], protocols: Mapping[str, ProtocolRecord]) -> None:
    """Write a whole data set: it appears at `output` complete, or not at all.

    Raises UserError where a split is not valid (see `read_annotations`) or `output` is taken.
    A source that makes images too opens `atomic_directory(output)` itself, and calls `write_files` inside.
    """
    with atomic_directory(output) as folder:
        write_files(folder, splits, protocols)


def write_files(folder: Path, splits: Mapping[str, Split], protocols: Mapping[str, ProtocolRecord]) -> None:
    """Check the splits and write `annotations/*.json` and `retrieval/*.json` below `folder`, the same bytes always."""
    for name, split in splits.items():
        document = {"info": {"image_root": split.image_root}, "images": split.images, "annotations": split.annotations}
        document["categories"] = [{"id": 1, "name": "person"}]
        path = folder / "annotations" / f"{name}.json"
        parse_annotations(document, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, document, indent=None)
    for name, protocol in protocols.items():
        path = folder / "retrieval" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, protocol, indent=None)
