"""CUHK-SYSU as released: scenes with all their boxes in one file, identities and galleries in others, joined by box.

Ids and their order are those that published results were made with (docs/method.md, "Data").
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from spnet.data.converters.builder import FIRST_UNKNOWN_ID, DatasetBuilder
from spnet.data.converters.cuhk_sysu_reader import Box, BoxRef, Release, Search, read_release
from spnet.data.converters.find_release import find_folder, find_root
from spnet.data.converters.image_sizes import read_sizes
from spnet.data.converters.splits import add_validation
from spnet.data.converters.summary import ConvertedDataset, ExpectedCount, expected_counts, known_persons
from spnet.data.schema import ProtocolRecord, Split
from spnet.errors import UserError

_STANDARD = "G100"
_EXPECTED_FILES = ["annotation/Images.mat", "annotation/pool.mat", "annotation/test/train_test/Train.mat"]
_IMAGE_FOLDERS = ["Image/SSM", "Image/ssm", "image/SSM", "image/ssm"]


def prepare_cuhk_sysu(source: Path) -> ConvertedDataset:
    """Convert the release at `source`: trainval and test, train and val, every released gallery (`test` is G100).

    Raises UserError where a file is missing or damaged, or a query's box is not among its scene's boxes.
    """
    root = find_root(source, _EXPECTED_FILES, "CUHK-SYSU")
    dropped: Counter[str] = Counter()
    release = read_release(root / "annotation", dropped)
    builder = DatasetBuilder()
    images, boxes = _add_scenes(builder, root, release, dropped)
    splits = builder.splits
    listed = {name: _protocol(searches, release, images, boxes) for name, searches in release.searches.items()}
    protocols = {"test": listed[_STANDARD], **listed}
    notes = add_validation(splits, protocols)
    counts = _expected_counts(splits, release.searches[_STANDARD])
    return ConvertedDataset(splits, protocols, dict(dropped), counts, notes)


def _add_scenes(
    builder: DatasetBuilder, root: Path, release: Release, dropped: Counter[str]
) -> tuple[dict[str, int], dict[BoxRef, int]]:
    """Add all scenes with their boxes; returns the ids of scenes and boxes."""
    folder = find_folder(root, _IMAGE_FOLDERS, "images")
    names = sorted(release.scenes, key=_scene_number)
    sizes = dict(zip(names, read_sizes([folder / name for name in names]), strict=True))
    unknown = _unknown_numbers(release)
    test_persons = [[search.query, *search.matches] for search in release.searches["G50"]]
    images: dict[str, int] = {}
    boxes: dict[BoxRef, int] = {}
    for split, persons in (("trainval", release.train_persons), ("test", test_persons)):
        part = [name for name in names if (name in release.test_scenes) == (split == "test")]
        known = _known_persons(persons, {name: release.scenes[name] for name in part}, split, dropped)
        builder.open_split(split, folder)
        for name in part:
            images[name] = builder.add_scene(name, sizes[name])
            for row, box in enumerate(release.scenes[name]):
                person = known.get((name, row))
                number = unknown[name] + row if person is None else person
                context = f"{root / _EXPECTED_FILES[0]}: scene {name} box {row + 1}"
                identifier = builder.add_person(images[name], box, number, context, person is not None)
                boxes.setdefault((name, box), identifier)
    return images, boxes


def _scene_number(name: str) -> tuple[int, str]:
    """Scenes are ordered by the number in their names."""
    number = re.search(r"\d+", name)
    if number is None:
        raise UserError(f"annotation/Images.mat: scene {name}: its name has no number")
    return int(number[0]), name


def _unknown_numbers(release: Release) -> dict[str, int]:
    """What an unknown person in the first box of a scene is called: every box counts, in the order of Images.mat."""
    numbers = accumulate(map(len, release.scenes.values()), initial=FIRST_UNKNOWN_ID)
    return dict(zip(release.scenes, numbers, strict=False))


def _known_persons(
    persons: Sequence[Sequence[BoxRef]], scenes: dict[str, list[Box]], split: str, dropped: Counter[str]
) -> dict[tuple[str, int], int]:
    """The identity, from 1, of (scene, row of its boxes); sightings that are no box of a scene count as dropped."""
    row_of = {(name, box): row for name, boxes in scenes.items() for row, box in reversed(list(enumerate(boxes)))}
    known: dict[tuple[str, int], int] = {}
    for person, occurrences in enumerate(persons, 1):
        for occurrence in occurrences:
            row = row_of.get(occurrence)
            if row is None:
                dropped[f"sightings of {split} persons that are no box of a {split} scene"] += 1
            elif known.setdefault((occurrence[0], row), person) != person:
                dropped[f"sightings of {split} persons in a box that is another person's already"] += 1
    return known


def _protocol(
    searches: Sequence[Search], release: Release, images: dict[str, int], boxes: dict[BoxRef, int]
) -> ProtocolRecord:
    """Queries with a gallery each, as ids; `images` are all scenes that are needed, the queries' own among them."""
    queries: dict[str, list[int]] = {}
    needed: set[int] = set()
    for search in searches:
        for name in (search.query[0], *search.gallery):
            if name not in release.test_scenes:
                raise UserError(f"{search.context}: scene {name} is not one of the test scenes of pool.mat")
        if search.query not in boxes:
            shown = ", ".join(f"{value:g}" for value in search.query[1])
            raise UserError(f"{search.context}: its box [{shown}] is no box of scene {search.query[0]} in Images.mat")
        query = str(boxes[search.query])
        if query in queries:
            raise UserError(f"{search.context}: the same box is searched for twice")
        queries[query] = [images[name] for name in search.gallery]
        needed.update((images[search.query[0]], *queries[query]))
    return {"queries": queries, "images": sorted(needed)}


def _expected_counts(splits: dict[str, Split], searches: Sequence[Search]) -> list[ExpectedCount]:
    """Supplementary section 7."""
    both = [splits["trainval"], splits["test"]]
    identities = sum(len(known_persons(split)) for split in both)  # numbered from 1 in either part
    return [
        *expected_counts(both, identities, ("18k", "95k", "23k", "72k", "8.5k")),
        ExpectedCount("queries", len(searches), "2,900"),
        ExpectedCount("scenes in a gallery", len(searches[0].gallery), "100"),
    ]
