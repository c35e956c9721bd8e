"""Scenes whose people somebody labeled, as a data set: what all sources of one's own data have in common."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spnet.data.converters.builder import DatasetBuilder
from spnet.data.converters.queries import search_protocol
from spnet.data.converters.summary import ConvertedDataset, known_persons
from spnet.data.schema import ProtocolRecord
from spnet.errors import UserError

_QUERIES_PER_PERSON = 3  # and camera
_TEST_SHARE = 1 / 3  # of each camera's scenes, where no test part is named


@dataclass(frozen=True)
class LabeledBox:
    """A person in a scene."""

    box: Sequence[float]  # x, y, width, height in pixels
    person: Hashable | None  # who it is, the same in all scenes of the data set; None: nobody knows
    context: str  # file and record, for messages
    is_query: bool = False  # somebody chose it to be searched for


@dataclass(frozen=True)
class LabeledScene:
    """An image, its size (width, height) in pixels, its camera if that is known, and everybody in it."""

    image: Path
    size: tuple[int, int]
    camera: Hashable | None
    boxes: Sequence[LabeledBox]


def convert_labeled(
    train: Sequence[LabeledScene], test: Sequence[LabeledScene], root: Path, source: str, dropped: Counter[str]
) -> ConvertedDataset:
    """Convert labeled scenes to the splits `train` and `test` and the protocol `test`.

    Without test scenes the last third of each camera's scenes is the test part. Persons and cameras are numbered as
    they come. Queries are the boxes chosen for it; where none is, three of each person and camera. All images are in
    the folder `root`; messages call the data `source`; `dropped` counts what was left out of it so far, by reason.

    Raises:
        UserError: a box that is not in its image, a third box of a person in a scene, a part without a known person,
            nobody to search for.
    """
    train, test = (train, test) if test else _divide(train)
    parts = {"train": train, "test": test}
    builder = DatasetBuilder()
    persons = _numbers((box.person for scenes in parts.values() for scene in scenes for box in scene.boxes), 0)
    cameras = _numbers((scene.camera for scenes in parts.values() for scene in scenes), 1)
    queries, unknown = [], len(persons)
    for name, scenes in parts.items():
        builder.open_split(name, root)
        for scene in scenes:
            file = scene.image.relative_to(root).as_posix()
            image = builder.add_scene(file, scene.size, -1 if scene.camera is None else cameras[scene.camera])
            for box in scene.boxes:
                person = unknown if box.person is None else persons[box.person]
                unknown += box.person is None
                number = builder.add_person(image, box.box, person, box.context, box.person is not None)
                if box.is_query and name == "test":
                    queries.append(number)
        if not known_persons(builder.splits[name]):
            raise UserError(f"{source}: the {name} part would have no person whose identity is known")
    protocols = {"test": _protocol(builder, queries, source)}
    left_out = {reason: number for reason, number in dropped.items() if number}
    return ConvertedDataset(builder.splits, protocols, left_out, notes=_notes(builder))


def check_named_once(folders: Sequence[Path], kind: str) -> None:
    """Raise UserError where one of the folders, each a `kind` of its own, is given twice."""
    for row, folder in enumerate(folders):
        if folder.resolve() in [other.resolve() for other in folders[:row]]:
            raise UserError(f"{folder}: the {kind} is named twice")


def _divide(scenes: Sequence[LabeledScene]) -> tuple[list[LabeledScene], list[LabeledScene]]:
    """Train and test: each camera's last third is test; the order stays."""
    of_camera: dict[Hashable | None, list[int]] = defaultdict(list)
    for row, scene in enumerate(scenes):
        of_camera[scene.camera].append(row)
    test = {row for rows in of_camera.values() for row in rows[len(rows) - int(_TEST_SHARE * len(rows)) :]}
    train = [scene for row, scene in enumerate(scenes) if row not in test]
    return train, [scenes[row] for row in sorted(test)]


def _numbers(names: Iterable[Hashable | None], first: int) -> dict[Hashable, int]:
    """Numbers for names in the order in which they come first."""
    known = dict.fromkeys(name for name in names if name is not None)
    return {name: number for number, name in enumerate(known, first)}


def _protocol(builder: DatasetBuilder, queries: list[int], source: str) -> ProtocolRecord:
    test = builder.splits["test"]
    if queries:
        return {"queries": queries, "images": [image["id"] for image in test.images]}
    protocol = search_protocol(test, _QUERIES_PER_PERSON)
    if not protocol["queries"]:
        raise UserError(
            f"{source}: no person is in two of the {len(test.images)} test scenes, so there is no query; take more "
            "scenes, of a video by a smaller --every"
        )
    return protocol


def _notes(builder: DatasetBuilder) -> list[str]:
    train, test = (known_persons(builder.splits[name]) for name in ("train", "test"))
    if not train & test:
        return []
    return [f"the same people are in train and test: {len(train & test)} of the {len(test)} identities of test"]
