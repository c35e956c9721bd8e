"""Crops with scenes: what their names and folders say, and what is wrong with a line."""

from pathlib import Path

import pytest
from damage import Damage, check_refusal, fill, remove, text
from releases import make_crops, make_scenes

from spnet.cli.main import main
from spnet.data.converters.crops import prepare_crops


def test_a_folder_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_crops(tmp_path / "mine")
    assert main(["prepare", "crops", "--source", str(root), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines()[1:3]] == [
        ["train", "4", "4", "4", "0", "1"],
        ["test", "4", "4", "4", "0", "1"],
    ]
    assert "left out: 1 distractors and junk (person 0 or -1)" in printed
    assert main(["inspect", str(tmp_path / "out"), "--decode"]) == 0


def test_names_say_who_and_where_and_folders_what_for(tmp_path: Path) -> None:
    converted = prepare_crops(make_crops(tmp_path))
    train, test = converted.splits["train"], converted.splits["test"]
    assert [(image["file_name"], image["cam_id"]) for image in train.images] == [
        ("c1s1_000001.jpg", 1),
        ("c1s1_000002.jpg", 1),
        ("c2s1_000001.jpg", 2),
        ("c2s1_000002.jpg", 2),
    ]
    assert train.annotations[1]["bbox"] == [14, 6, 8, 20]
    (query,) = converted.protocols["test"]["queries"]
    (record,) = [box for box in test.annotations if box["id"] == query]
    assert record["image_id"] == test.images[0]["id"]
    assert converted.notes == []


def test_without_folders_the_last_third_is_the_test_part(tmp_path: Path) -> None:
    root = make_crops(tmp_path)
    names = [f"c{camera}s1_{frame:06d}" for camera in (1, 2) for frame in (1, 2, 3)]
    make_scenes(root / "scenes", [f"{name}.jpg" for name in names])
    (root / "boxes.csv").write_text("\n".join(["crop,x,y,width,height", *(f"0003_{n}_1.jpg,5,6,8,20" for n in names)]))
    splits = prepare_crops(root).splits
    assert [image["file_name"] for image in splits["test"].images] == ["c1s1_000003.jpg", "c2s1_000003.jpg"]


def line(content: str) -> Damage:
    return text("boxes.csv", lambda lines: lines.insert(2, content))


BAD_CROPS: dict[str, tuple[Damage, str]] = {
    "no table": (remove("boxes.csv"), r"boxes\.csv: No such file"),
    "other columns": (text("boxes.csv", lambda lines: lines.__setitem__(0, "a,b")), "its columns are .* must be"),
    "not text": (fill("boxes.csv", b"\xff\xfe\x80"), r"boxes\.csv: cannot be read"),
    "another name": (line("query/person.jpg,1,2,3,4"), r"boxes\.csv, line 3: crop 'query/person\.jpg' is not named as"),
    "another folder": (line("gallery/0001_c1s1_000001_01.jpg,1,2,3,4"), "line 3: crop 'gallery/.* is not named as"),
    "no number": (line("0001_c1s1_000001_01.jpg,1,2,x,4"), "line 3: could not convert string to float: 'x'"),
    "a column less": (line("0001_c1s1_000001_01.jpg,1,2,3"), "line 3: could not convert"),
    "a column more": (line("0001_c1s1_000001_01.jpg,1,2,3,4,5"), "line 3: there are more than 5 columns"),
    "not finite": (line("0001_c1s1_000001_01.jpg,1,2,nan,4"), "line 3: box .* is not in its 64x48 image"),
    "outside": (line("0001_c1s1_000001_01.jpg,1,50,3,4"), r"line 3: box \[1, 50, 3, 4\]"),
    "scene missing": (remove("scenes/c2s1_000001.jpg"), r"c2s1_000001\.jpg: no such scene \(2 are missing\)"),
    "scenes missing": (lambda root: (root / "scenes").rename(root / "frames"), "scenes: no such folder"),
    "scene broken": (fill("scenes/c2s1_000001.jpg", b"no image"), r"c2s1_000001\.jpg: not an image"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_CROPS.values(), ids=BAD_CROPS)
def test_damaged_crops(damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("crops", damage, message, tmp_path, capsys)
