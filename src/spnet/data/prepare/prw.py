"""PRW as released: frames of six cameras, a MATLAB file of boxes for each, and a text file of queries."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spnet.data.prepare.builder import DatasetBuilder
from spnet.data.prepare.locate import find_folder, find_root
from spnet.data.prepare.matlab import read_mat, texts
from spnet.data.prepare.pictures import read_sizes
from spnet.data.prepare.splits import add_validation
from spnet.data.prepare.summary import Fact, Prepared
from spnet.data.schema import Split
from spnet.errors import UserError

UNKNOWN = -2  # the release's mark
FIRST_UNKNOWN = 5555
MARKS = ["frame_train.mat", "frame_test.mat", "query_info.txt"]
LISTS = {"trainval": ("frame_train.mat", "img_index_train"), "test": ("frame_test.mat", "img_index_test")}
BOX_KEYS = ["box_new", "anno_file", "anno_previous"]


@dataclass
class Converted:
    """What is known of the scenes so far, by frame name."""

    builder: DatasetBuilder
    images: dict[str, int]
    cameras: dict[int, int]  # by image id
    next_unknown: int = FIRST_UNKNOWN


def prepare_prw(source: Path) -> Prepared:
    """Convert the release at `source`: trainval and test, train and val, all / same-camera / cross-camera galleries.

    Raises UserError where a file is missing or damaged, or a query is not among its frame's boxes.
    """
    root = find_root(source, MARKS, "PRW")
    frames = {split: _frame_list(root / file, key) for split, (file, key) in LISTS.items()}
    both = set(frames["trainval"]) & set(frames["test"])
    if both:
        raise UserError(f"{root / 'frame_test.mat'}: frame {min(both)} is in frame_train.mat too")
    pictures = find_folder(root, ["frames"], "pictures")
    names = [name for part in frames.values() for name in part]
    sizes = dict(zip(names, read_sizes([pictures / f"{name}.jpg" for name in names]), strict=True))
    dropped: Counter[str] = Counter()
    state = Converted(DatasetBuilder(), {}, {})
    for split, part in frames.items():
        state.builder.open_split(split, pictures)
        for name in part:
            _add_frame(state, name, sizes[name], root / "annotations" / f"{name}.jpg.mat", dropped)
    splits = state.builder.splits
    queries, notes = _read_queries(root / "query_info.txt", splits["test"], state)
    protocols = _protocols(queries, splits["test"])
    notes += add_validation(splits, protocols)
    return Prepared(splits, protocols, dict(dropped), _facts(splits, protocols["test"]), notes)


def _frame_list(path: Path, key: str) -> list[str]:
    names = texts(read_mat(path, [key], "in its top folder"), f"{path}: {key}")
    seen: set[str] = set()
    for row, name in enumerate(names, 1):
        if not re.match(r"c\d+s\d+_\d+$", name):
            raise UserError(f"{path}: {key} {row}: {name!r} is not a frame's name such as c1s1_000151")
        if name in seen:
            raise UserError(f"{path}: {key} {row}: {name} is listed twice")
        seen.add(name)
    if not names:
        raise UserError(f"{path}: {key} is empty")
    return names


def _add_frame(state: Converted, name: str, size: tuple[int, int], path: Path, dropped: Counter[str]) -> None:
    camera = int(name[1 : name.index("s")])
    image = state.images[name] = state.builder.add_scene(f"{name}.jpg", size, camera)
    state.cameras[image] = camera
    for row, (person, *box) in enumerate(_read_boxes(path), 1):
        if box[2] == 0 or box[3] == 0:
            dropped["boxes without an area"] += 1
            continue
        is_known = person != UNKNOWN
        if not is_known:
            person, state.next_unknown = state.next_unknown, state.next_unknown + 1
        state.builder.add_person(image, box, person, f"{path}: row {row}", is_known)


def _read_boxes(path: Path) -> list[list[int]]:
    """Rows of id, x, y, width, height: truncated to whole pixels and clipped at 0."""
    table = read_mat(path, BOX_KEYS, "in its folder annotations")
    if table.size == 0:
        return []
    if table.ndim != 2 or table.shape[1] != 5 or table.dtype.kind not in "iuf":
        raise UserError(f"{path}: boxes are a table of {table.shape}, not of rows id, x, y, width, height")
    for row, values in enumerate(table.tolist(), 1):
        if not np.isfinite(values).all() or min(values[3:]) < 0:
            raise UserError(f"{path}: row {row}: {values} is not finite or has a negative size")
        if values[0] != int(values[0]) or (values[0] < 0 and values[0] != UNKNOWN) or values[0] >= FIRST_UNKNOWN:
            raise UserError(f"{path}: row {row}: id {values[0]:g} is not a person's number, nor {UNKNOWN} for unknown")
    whole = table.astype(np.int64)
    whole[:, 1:] = whole[:, 1:].clip(min=0)
    return whole.tolist()


def _read_queries(path: Path, test: Split, state: Converted) -> tuple[list[int], list[str]]:
    """The annotation ids of the queries in the order of the file, and what is to be said about them."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()  # LF and CRLF alike
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the release keeps it in its top folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    candidates: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for record in test.annotations:
        candidates.setdefault((record["image_id"], record["person_id"]), []).append(record)
    queries: list[int] = []
    shifted: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        person, box, frame = _parse_query(line, where)
        image = state.images.get(frame, -1)
        query, is_exact = _annotation_of(
            box, candidates.get((image, person), []), f"{where}: person {person} in {frame}"
        )
        if query in queries:
            raise UserError(f"{where}: the same box is searched for twice")
        queries.append(query)
        if not is_exact:
            shifted.append(frame)
    if not queries:
        raise UserError(f"{path}: it lists no query")
    notes = [f"{len(shifted)} query boxes are one pixel off the annotation they mean: {', '.join(shifted)}"]
    return queries, notes if shifted else []


def _parse_query(line: str, where: str) -> tuple[int, np.ndarray, str]:
    fields = line.split()
    if len(fields) != 6:
        raise UserError(f"{where}: {len(fields)} columns, not id, x, y, width, height, frame")
    try:
        person, box = int(fields[0]), np.array(fields[1:5], np.float64)
    except ValueError:
        raise UserError(f"{where}: {line.strip()!r} does not begin with a whole number and four numbers") from None
    if not np.isfinite(box).all():
        raise UserError(f"{where}: {line.strip()!r} has a box that is not finite")
    return person, box.astype(np.int64).clip(min=0), fields[5].removesuffix(".jpg")


def _annotation_of(box: np.ndarray, candidates: Sequence[dict[str, Any]], where: str) -> tuple[int, bool]:
    """The id of the annotation that a query box means and whether it is the very same box, not one pixel off."""
    differences = [int(np.abs(np.array(record["bbox"]) - box).max()) for record in candidates]
    if not candidates or min(differences) > 1:
        raise UserError(f"{where}: no annotation of a test frame has this person and box {box.tolist()}")
    nearest = int(np.argmin(differences))
    return candidates[nearest]["id"], differences[nearest] == 0


def _protocols(queries: Sequence[int], test: Split) -> dict[str, dict[str, Any]]:
    """All test frames, those of the query's camera, and those of the other cameras."""
    camera = {image["id"]: image["cam_id"] for image in test.images}
    image_of = {record["id"]: record["image_id"] for record in test.annotations}
    by_camera: dict[int, list[int]] = {}
    others: dict[int, list[int]] = {}
    for own in sorted(set(camera.values())):
        by_camera[own] = [image for image, other in camera.items() if other == own]
        others[own] = [image for image, other in camera.items() if other != own]
    camera_of = {query: camera[image_of[query]] for query in queries}
    return {
        "test": {"queries": list(queries), "images": list(camera)},
        "same_cam_id": {
            "queries": {str(query): by_camera[camera_of[query]] for query in queries},
            "images": list(camera),
        },
        "cross_cam_id": {
            "queries": {str(query): others[camera_of[query]] for query in queries},
            "images": list(camera),
        },
    }


def _facts(splits: dict[str, Split], standard: dict[str, Any]) -> list[Fact]:
    """Supplementary section 7."""
    both = [splits["trainval"], splits["test"]]
    records = [record for split in both for record in split.annotations]
    known = [record["person_id"] for record in records if record["is_known"]]
    return [
        Fact("scenes", sum(len(split.images) for split in both), "12k"),
        Fact("boxes", len(records), "43k"),
        Fact("boxes of known persons", len(known), "34k"),
        Fact("boxes of unknown persons", len(records) - len(known), "9k"),
        Fact("identities", len(set(known)), "1k"),
        Fact("queries", len(standard["queries"]), "2,057"),
        Fact("test scenes", len(standard["images"]), "6,112"),
    ]
