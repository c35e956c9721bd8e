"""Looks through a prepared data set: its counts, and everything wrong with it that training would trip over later."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spnet.data.decode import read_image
from spnet.data.schema import Annotations, check_images_exist, read_annotations
from spnet.errors import UserError

QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Counts:
    """What one split holds."""

    scenes: int
    empty_scenes: int  # without a box
    cameras: int  # 0 where none is given
    boxes: int
    known_boxes: int
    identities: int  # known persons
    singles: int  # known persons seen in one scene only: no search can find them again
    over_the_edge: int  # boxes that reach out of the image
    widths: npt.NDArray[np.float64]  # (3,) pixels: 5 % of the boxes are narrower, half, 95 %
    heights: npt.NDArray[np.float64]  # (3,) pixels


def read_splits(folder: Path) -> tuple[dict[str, Annotations], list[str]]:
    """All splits of a data set by name, and a problem for each that cannot be used. Raises UserError without any."""
    paths = sorted((folder / "annotations").glob("*.json"), key=lambda path: (_by_number(path.stem), path.stem))
    if not paths:
        raise UserError(f"{folder}: no prepared data set: it has no annotations/*.json (make one with `spnet prepare`)")
    splits, problems = {}, []
    for path in paths:
        try:
            splits[path.stem] = read_annotations(path)
        except UserError as error:
            problems.append(str(error))
    return splits, problems


def _by_number(name: str) -> list[tuple[str, int]]:
    """Sorts p20 before p100."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def count(annotations: Annotations) -> Counts:
    """The counts of one split."""
    width, height = (annotations.boxes[:, 2:] - annotations.boxes[:, :2]).T
    known = annotations.person_ids[annotations.is_known]
    pairs = np.unique(np.stack([known, annotations.box_scene[annotations.is_known]]), axis=1)
    scenes_of_a_person = np.unique(pairs[0], return_counts=True)[1]
    outside = (annotations.boxes[:, :2] < 0) | (annotations.boxes[:, 2:] > annotations.sizes[annotations.box_scene])
    return Counts(
        scenes=len(annotations.scene_ids),
        empty_scenes=len(annotations.scene_ids) - len(np.unique(annotations.box_scene)),
        cameras=len(np.unique(annotations.cameras[annotations.cameras >= 0])),
        boxes=len(annotations.boxes),
        known_boxes=len(known),
        identities=len(scenes_of_a_person),
        singles=int((scenes_of_a_person == 1).sum()),
        over_the_edge=int(outside.any(axis=1).sum()),
        widths=np.quantile(width, QUANTILES),
        heights=np.quantile(height, QUANTILES),
    )


def find_missing(splits: Mapping[str, Annotations]) -> list[str]:
    """A problem for each split some of whose images are not there."""
    problems = {name: _problem(check_images_exist, annotations) for name, annotations in splits.items()}
    return [f"{name}: {problem}" for name, problem in problems.items() if problem]


def find_id_conflicts(splits: Mapping[str, Annotations]) -> list[str]:
    """A problem for each split that gives an id to another scene or box than a split before; parts may share them."""
    scenes: dict[int, tuple[object, str]] = {}
    boxes: dict[int, tuple[object, str]] = {}
    problems: list[str] = []
    for name, split in splits.items():
        box_contents = zip(split.scene_ids[split.box_scene].tolist(), split.boxes.tolist(), strict=True)
        problems += _conflicts(name, "image", zip(split.scene_ids.tolist(), split.file_names, strict=True), scenes)
        problems += _conflicts(name, "annotation", zip(split.box_ids.tolist(), box_contents, strict=True), boxes)
    return problems


def _conflicts(
    split: str, kind: str, contents: Iterable[tuple[int, object]], seen: dict[int, tuple[object, str]]
) -> Iterator[str]:
    """At most one problem: the first id that was seen with another content, and how many there are."""
    other: dict[int, str] = {}
    for identifier, content in contents:
        before, owner = seen.setdefault(identifier, (content, split))
        if before != content:
            other[identifier] = owner
    if other:
        first, owner = next(iter(other.items()))
        yield f"{split}: {kind} id {first} means another {kind} in {owner} ({len(other)} such ids)"


def find_invalid_queries(
    name: str, queries: npt.NDArray[np.int64], scenes: npt.NDArray[np.int64], splits: Mapping[str, Annotations]
) -> list[str]:
    """A problem where a protocol's queries (Q,) or scenes (G,), as ids, are not all in one split."""
    for split in splits.values():
        if np.isin(queries, split.box_ids).all() and np.isin(scenes, split.scene_ids).all():
            return []
    return [f"protocol {name}: no split has all of its {len(queries)} queries and {len(scenes)} scenes"]


def list_images(splits: Mapping[str, Annotations]) -> list[tuple[Path, tuple[int, int]]]:
    """Every image once, with the width and height that its annotations give."""
    images = {
        (split.image_root / name, (width, height)): None
        for split in splits.values()
        for name, (width, height) in zip(split.file_names, split.sizes.tolist(), strict=True)
    }
    return list(images)


def read_images(images: Sequence[tuple[Path, tuple[int, int]]], num_workers: int) -> Iterator[str | None]:
    """Decode every image, `num_workers` at a time: in their order, what is wrong with each, None where nothing is."""
    with ThreadPoolExecutor(num_workers) as pool:
        yield from pool.map(lambda image: _problem(read_image, *image), images)


def _problem(check: Callable[..., object], *arguments: object) -> str | None:
    """What the UserError says that `check` raises, None where it raises none."""
    try:
        check(*arguments)
    except UserError as error:
        return str(error)
    return None
