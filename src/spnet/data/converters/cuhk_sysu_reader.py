"""The MATLAB files of CUHK-SYSU as plain Python: scenes with boxes, test scenes, identities, queries with galleries."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from spnet.data.converters.matlab.reader import box, read_mat, stream_structs, structs, text, texts
from spnet.errors import UserError

_TEST_FILES = {  # protocol -> file below annotation/test, variable in it
    **{f"G{size}": (f"train_test/TestG{size}.mat", f"TestG{size}") for size in (50, 100, 500, 1000, 2000, 4000)},
    "GOcclusion": ("subset/Occlusion.mat", "Occlusion1"),
    "GResolution": ("subset/Resolution.mat", "Test_Size"),
}
Box = tuple[float, float, float, float]  # x, y, width, height in pixels
BoxRef = tuple[str, Box]  # scene and box


@dataclass(frozen=True)
class Search:
    """One query and its gallery, as a gallery file lists them."""

    query: BoxRef
    matches: list[BoxRef]  # the gallery's boxes of the person, up to the first entry without a box
    gallery: list[str]  # scenes, in the order of the file
    context: str  # file and record


@dataclass(frozen=True)
class Release:
    """Everything the files say."""

    scenes: dict[str, list[Box]]  # every scene's boxes with an area, in the order of Images.mat
    test_scenes: set[str]
    train_persons: list[list[BoxRef]]  # in the order of Train.mat
    searches: dict[str, list[Search]]  # by protocol


def read_release(annotation: Path, dropped: Counter[str]) -> Release:
    """Read the folder `annotation`; boxes without an area are counted in `dropped`. Raises UserError."""
    scenes = _read_scenes(annotation / "Images.mat", dropped)
    searches = {name: _read_searches(annotation / "test" / file, key) for name, (file, key) in _TEST_FILES.items()}
    train_persons = _read_train(annotation / "test" / "train_test" / "Train.mat")
    return Release(scenes, _read_pool(annotation / "pool.mat", scenes), train_persons, searches)


def _directory(path: Path) -> str:
    return f"in its folder annotation{str(path.parent).rpartition('annotation')[2]}"


def _read_scenes(path: Path, dropped: Counter[str]) -> dict[str, list[Box]]:
    scenes: dict[str, list[Box]] = {}
    records = structs(read_mat(path, ["Img"], _directory(path)), ["imname", "box"], f"{path}: Img")
    for row, record in enumerate(records, 1):
        context = f"{path}: scene {row}"
        name = text(record["imname"], context)
        if name in scenes:
            raise UserError(f"{context}: {name} is listed twice")
        boxes = [
            box(entry["idlocate"], f"{context} ({name}) box {number}")
            for number, entry in enumerate(structs(record["box"], ["idlocate"], f"{context} ({name}) box"), 1)
        ]
        kept = [entry for entry in boxes if entry is not None and entry[2] > 0 and entry[3] > 0]
        if len(kept) < len(boxes):
            dropped["boxes without an area in Images.mat"] += len(boxes) - len(kept)
        scenes[name] = kept
    return scenes


def _read_pool(path: Path, scenes: dict[str, list[Box]]) -> set[str]:
    names = texts(read_mat(path, ["pool"], _directory(path)), f"{path}: pool")
    seen: set[str] = set()
    for row, name in enumerate(names, 1):
        if name in seen:
            raise UserError(f"{path}: pool {row}: {name} is listed twice")
        if name not in scenes:
            raise UserError(f"{path}: pool {row}: scene {name} is not in Images.mat")
        seen.add(name)
    return seen


def _read_train(path: Path) -> list[list[BoxRef]]:
    persons = []
    for row, record in enumerate(structs(read_mat(path, ["Train"], _directory(path)), ["scene"], f"{path}: Train"), 1):
        occurrences = _read_box_refs(record["scene"], f"{path}: person {row}")
        persons.append([(name, place) for name, place in occurrences if place is not None])
    return persons


def _read_searches(path: Path, key: str) -> list[Search]:
    searches = []
    for row, record in enumerate(stream_structs(path, key, ["Query", "Gallery"], _directory(path)), 1):
        context = f"{path}: query {row}"
        queries, entries = (_read_box_refs(record[field], context) for field in ("Query", "Gallery"))
        if len(queries) != 1 or queries[0][1] is None:
            raise UserError(f"{context}: has {len(queries)} boxes to search for, not one")
        if not entries:
            raise UserError(f"{context}: its gallery is empty")
        matches: list[BoxRef] = []
        for name, place in entries:
            if place is None:
                break
            matches.append((name, place))
        searches.append(Search((queries[0][0], queries[0][1]), matches, [name for name, _ in entries], context))
    if not searches:
        raise UserError(f"{path}: {key} lists no query")
    return searches


def _read_box_refs(value: object, context: str) -> list[tuple[str, Box | None]]:
    """Scenes with a box in each, None where the scene has none."""
    refs = []
    for entry in structs(value, ["imname", "idlocate"], context):
        name = text(entry["imname"], context)
        refs.append((name, box(entry["idlocate"], f"{context}, scene {name}")))
    return refs
