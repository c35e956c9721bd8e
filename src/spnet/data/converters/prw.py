"""PRW as released: frames of six cameras with their boxes, queries, and galleries by camera.

Frame lists and tables of boxes are MATLAB files, the queries a text file.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spnet.data.converters.builder import FIRST_UNKNOWN_ID, DatasetBuilder
from spnet.data.converters.find_release import find_folder, find_root, read_lines
from spnet.data.converters.image_sizes import read_sizes
from spnet.data.converters.matlab.reader import read_mat, texts
from spnet.data.converters.splits import add_validation
from spnet.data.converters.summary import ConvertedDataset, ExpectedCount, expected_counts, known_persons
from spnet.data.schema import PersonRecord, ProtocolRecord, Split
from spnet.errors import UserError

_EXPECTED_FILES = ["frame_train.mat", "frame_test.mat", "query_info.txt"]
_FRAME_LISTS = {"trainval": ("frame_train.mat", "img_index_train"), "test": ("frame_test.mat", "img_index_test")}
_NO_IDENTITY = -2  # the release's mark of a person without identity
_BOX_KEYS = ["box_new", "anno_file", "anno_previous"]


class Query(NamedTuple):
    """A line of query_info.txt."""

    person: int
    box: npt.NDArray[np.int64]  # (4,) x, y, width, height
    frame: str
    context: str  # file and line


def prepare_prw(source: Path) -> ConvertedDataset:
    """Convert the release at `source`: trainval and test, train and val, all / same-camera / cross-camera galleries.

    Raises UserError where a file is missing or damaged, or a query is not among its frame's boxes.
    """
    root = find_root(source, _EXPECTED_FILES, "PRW")
    frames = {split: _read_frame_list(root / file, key) for split, (file, key) in _FRAME_LISTS.items()}
    both = set(frames["trainval"]) & set(frames["test"])
    if both:
        raise UserError(f"{root / 'frame_test.mat'}: frame {min(both)} is in frame_train.mat too")
    dropped: Counter[str] = Counter()
    builder = DatasetBuilder()
    _add_frames(builder, root, frames, dropped)
    splits = builder.splits
    queries, notes = _find_queries(_read_queries(root / "query_info.txt"), splits["test"])
    protocols = _protocols(queries, splits["test"])
    notes += add_validation(splits, protocols)
    return ConvertedDataset(splits, protocols, dict(dropped), _expected_counts(splits, protocols["test"]), notes)


def _add_frames(builder: DatasetBuilder, root: Path, frames: dict[str, list[str]], dropped: Counter[str]) -> None:
    """Add the frames of all splits with their boxes; unknown persons are numbered as they come."""
    images = find_folder(root, ["frames"], "images")
    names = [name for part in frames.values() for name in part]
    sizes = dict(zip(names, read_sizes([images / f"{name}.jpg" for name in names]), strict=True))
    unknown = FIRST_UNKNOWN_ID
    for split, part in frames.items():
        builder.open_split(split, images)
        for name in part:
            image = builder.add_scene(f"{name}.jpg", sizes[name], camera=int(name[1 : name.index("s")]))
            path = root / "annotations" / f"{name}.jpg.mat"
            for row, (person, *box) in enumerate(_read_boxes(path), 1):
                if min(box[2:]) == 0:
                    dropped["boxes without an area"] += 1
                elif person == _NO_IDENTITY:
                    builder.add_person(image, box, unknown, f"{path}: row {row}", is_known=False)
                    unknown += 1
                else:
                    builder.add_person(image, box, person, f"{path}: row {row}")


def _find_queries(queries: Sequence[Query], test: Split) -> tuple[list[int], list[str]]:
    """The annotation ids of the queries in the order of the file, and what is to be said about them."""
    frame_of = {image["id"]: image["file_name"].removesuffix(".jpg") for image in test.images}
    candidates: dict[tuple[str, int], list[PersonRecord]] = {}
    for record in test.annotations:
        candidates.setdefault((frame_of[record["image_id"]], record["person_id"]), []).append(record)
    found: dict[int, None] = {}
    shifted: list[str] = []
    for query in queries:
        identifier, is_exact = _annotation_of(query, candidates.get((query.frame, query.person), []))
        if identifier in found:
            raise UserError(f"{query.context}: the same box is searched for twice")
        found[identifier] = None
        if not is_exact:
            shifted.append(query.frame)
    note = f"{len(shifted)} query boxes are one pixel off the annotation they mean: {', '.join(shifted)}"
    return list(found), [note] if shifted else []


def _annotation_of(query: Query, candidates: Sequence[PersonRecord]) -> tuple[int, bool]:
    """The id of the annotation that a query means, and whether it is the very same box, not one pixel off."""
    differences = [int(np.abs(np.array(record["bbox"]) - query.box).max()) for record in candidates]
    if not candidates or min(differences) > 1:
        who = f"person {query.person} in {query.frame}"
        raise UserError(
            f"{query.context}: {who}: no annotation of a test frame is theirs with box {query.box.tolist()}"
        )
    nearest = int(np.argmin(differences))
    return candidates[nearest]["id"], differences[nearest] == 0


def _protocols(queries: Sequence[int], test: Split) -> dict[str, ProtocolRecord]:
    """All test frames, those of the query's camera, and those of the other cameras."""
    camera = {image["id"]: image["cam_id"] for image in test.images}
    camera_of = {record["id"]: camera[record["image_id"]] for record in test.annotations}
    images = list(camera)
    by_camera = {own: [image for image in images if camera[image] == own] for own in set(camera.values())}
    others = {own: [image for image in images if camera[image] != own] for own in by_camera}
    return {
        "test": {"queries": list(queries), "images": images},
        "same_cam_id": {"queries": {str(query): by_camera[camera_of[query]] for query in queries}, "images": images},
        "cross_cam_id": {"queries": {str(query): others[camera_of[query]] for query in queries}, "images": images},
    }


def _expected_counts(splits: dict[str, Split], standard: ProtocolRecord) -> list[ExpectedCount]:
    """Supplementary section 7."""
    both = [splits["trainval"], splits["test"]]
    identities = len(set.union(*map(known_persons, both)))
    return [
        *expected_counts(both, identities, ("12k", "43k", "34k", "9k", "1k")),
        ExpectedCount("queries", len(standard["queries"]), "2,057"),
        ExpectedCount("test scenes", len(standard["images"]), "6,112"),
    ]


def _read_frame_list(path: Path, key: str) -> list[str]:
    """The names of a part's frames, in the release's order. Raises UserError."""
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


def _read_boxes(path: Path) -> list[list[int]]:
    """Rows of id, x, y, width, height of a frame, truncated to whole pixels and clipped at 0. Raises UserError."""
    table = read_mat(path, _BOX_KEYS, "in its folder annotations")
    if table.size == 0:
        return []
    if table.ndim != 2 or table.shape[1] != 5 or table.dtype.kind not in "iuf":
        raise UserError(f"{path}: boxes are a table of {table.shape}, not of rows id, x, y, width, height")
    for row, values in enumerate(table.tolist(), 1):
        if not np.isfinite(values).all() or min(values[3:]) < 0:
            raise UserError(f"{path}: row {row}: {values} is not finite or has a negative size")
        person = values[0]
        if person != _NO_IDENTITY and not (person == int(person) and 0 <= person < FIRST_UNKNOWN_ID):
            raise UserError(
                f"{path}: row {row}: id {person:g} is not a person's number, nor {_NO_IDENTITY} for unknown"
            )
    whole = table.astype(np.int64)
    whole[:, 1:] = whole[:, 1:].clip(min=0)
    rows: list[list[int]] = whole.tolist()
    return rows


def _read_queries(path: Path) -> list[Query]:
    """The queries in the order of the file. Raises UserError."""
    lines = read_lines(path, "the release keeps it in its top folder")
    queries = [_parse_query(line, f"{path}: line {number}") for number, line in lines]
    if not queries:
        raise UserError(f"{path}: it lists no query")
    return queries


def _parse_query(line: str, context: str) -> Query:
    fields = line.split()
    if len(fields) != 6:
        raise UserError(f"{context}: {len(fields)} columns, not id, x, y, width, height, frame")
    try:
        person, box = int(fields[0]), np.array(fields[1:5], np.float64)
    except ValueError:
        raise UserError(f"{context}: {line.strip()!r} does not begin with a whole number and four numbers") from None
    if not np.isfinite(box).all():
        raise UserError(f"{context}: {line.strip()!r} has a box that is not finite")
    return Query(person, box.astype(np.int64).clip(min=0), fields[5].removesuffix(".jpg"), context)
