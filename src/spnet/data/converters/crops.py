"""Crops named as those of Market-1501, with the scenes they were cut from.

DIR/boxes.csv      a line `crop,x,y,width,height` for each crop: its name, and its box in its scene, in pixels
DIR/scenes/        the scenes, named by camera, sequence and frame: c1s1_000151.jpg

A crop's name is `0001_c1s1_000151_01.jpg`: person, camera and sequence, frame, and any further number. The folder
before it says what it is for: `bounding_box_train/`, `bounding_box_test/`, or `query/`, which are the queries. The
crops themselves are not read. Person 0 and -1 are distractors and junk.
"""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

from spnet.data.converters.image_sizes import read_sizes
from spnet.data.converters.labeled import LabeledBox, LabeledScene, convert_labeled
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.sources import IMAGE_SUFFIXES
from spnet.errors import UserError

_COLUMNS = ["crop", "x", "y", "width", "height"]
_NAME = re.compile(r"(-?\d+)_(c\d+s\d+_\d+)(?:_.*)?")
_EXAMPLE = "bounding_box_train/0001_c1s1_000151_01.jpg"
_PARTS = {"bounding_box_train": "train", "": "train", "bounding_box_test": "test", "query": "test"}


def prepare_crops(source: Path) -> ConvertedDataset:
    """Convert DIR to the splits `train` and `test`; without crops for testing the last third of each camera's scenes.

    Raises:
        UserError: a missing file or scene, another name than Market-1501's, a number that is none.
    """
    file = source / "boxes.csv"
    dropped: Counter[str] = Counter()
    people: dict[str, dict[str, list[LabeledBox]]] = {"train": defaultdict(list), "test": defaultdict(list)}
    for line, row in _read(file):
        context = f"{file}, line {line}"
        folder, crop = Path(row["crop"]).parent.name, Path(row["crop"])
        found = _NAME.fullmatch(crop.stem)
        if found is None or folder not in _PARTS:
            raise UserError(f"{context}: crop {row['crop']!r} is not named as {_EXAMPLE}")
        try:
            if None in row:
                raise ValueError(f"there are more than {len(_COLUMNS)} columns")
            box = [float(row[column]) for column in _COLUMNS[1:]]
        except ValueError as error:
            raise UserError(f"{context}: {error}") from None
        if int(found[1]) <= 0:
            dropped["distractors and junk (person 0 or -1)"] += 1
            continue
        people[_PARTS[folder]][found[2]].append(LabeledBox(box, int(found[1]), context, folder == "query"))
    scenes = _find_scenes(source / "scenes", [*people["train"], *people["test"]])
    sizes = dict(zip(scenes, read_sizes(list(scenes.values())), strict=True))
    train, test = (
        [LabeledScene(scenes[name], sizes[name], name.partition("s")[0], part[name]) for name in sorted(part)]
        for part in people.values()
    )
    return convert_labeled(train, test, (source / "scenes").resolve(), str(source), dropped)


def _read(file: Path) -> list[tuple[int, dict[str, str]]]:
    """The table's rows with the numbers of their lines."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="")
            rows = [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {error}") from None
    if reader.fieldnames != _COLUMNS:
        raise UserError(f"{file}: its columns are {reader.fieldnames}; they must be {_COLUMNS}")
    return rows


def _find_scenes(folder: Path, names: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; the scenes that the crops are of are in it")
    there = {file.stem: file for file in sorted(folder.resolve().iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES}
    if missing := [name for name in names if name not in there]:
        raise UserError(f"{folder / missing[0]}.jpg: no such scene ({len(missing)} are missing)")
    return {name: there[name] for name in names}
