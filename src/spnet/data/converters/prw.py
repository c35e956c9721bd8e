"""PRW as released: frames of six cameras with their boxes, queries, and galleries by camera."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spnet.data.converters.builder import FIRST_UNKNOWN_ID, DatasetBuilder
from spnet.data.converters.find_release import find_folder, find_root
from spnet.data.converters.image_sizes import read_sizes
from spnet.data.converters.prw_reader import NO_IDENTITY, Query, read_boxes, read_frame_list, read_queries
from spnet.data.converters.splits import add_validation
from spnet.data.converters.summary import ConvertedDataset, ExpectedCount, expected_counts, known_persons
from spnet.data.schema import PersonRecord, ProtocolRecord, Split
from spnet.errors import UserError

_EXPECTED_FILES = ["frame_train.mat", "frame_test.mat", "query_info.txt"]
_FRAME_LISTS = {"trainval": ("frame_train.mat", "img_index_train"), "test": ("frame_test.mat", "img_index_test")}


def prepare_prw(source: Path) -> ConvertedDataset:
    """Convert the release at `source`: trainval and test, train and val, all / same-camera / cross-camera galleries.

    Raises UserError where a file is missing or damaged, or a query is not among its frame's boxes.
    """
    root = find_root(source, _EXPECTED_FILES, "PRW")
    frames = {split: read_frame_list(root / file, key) for split, (file, key) in _FRAME_LISTS.items()}
    both = set(frames["trainval"]) & set(frames["test"])
    if both:
        raise UserError(f"{root / 'frame_test.mat'}: frame {min(both)} is in frame_train.mat too")
    dropped: Counter[str] = Counter()
    builder = DatasetBuilder()
    _add_frames(builder, root, frames, dropped)
    splits = builder.splits
    queries, notes = _find_queries(read_queries(root / "query_info.txt"), splits["test"])
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
            for row, (person, *box) in enumerate(read_boxes(path), 1):
                if min(box[2:]) == 0:
                    dropped["boxes without an area"] += 1
                elif person == NO_IDENTITY:
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
