"""YOLO labels with identities: where they are found, what a line says, and what is wrong with one."""

from pathlib import Path

import pytest
from damage import Damage, check_refusal, fill, text
from releases import make_scenes, make_yolo

from spnet.cli.main import main
from spnet.data.converters.yolo import prepare_yolo
from spnet.errors import UserError


def test_a_folder_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_yolo(tmp_path / "mine")
    (root / "labels" / "street" / "extra.txt").write_text("")
    command = ["prepare", "yolo", "--train", str(root / "images" / "street"), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split() == ["train", "6", "12", "12", "0", "2"]
    assert "left out: 9 boxes of other classes than 0" in printed
    assert "left out: 1 label files without an image" in printed
    assert main(["inspect", str(tmp_path / "out"), "--decode"]) == 0


def test_boxes_are_pixels_and_the_end_of_a_line_says_who(tmp_path: Path) -> None:
    root = make_yolo(tmp_path)
    lines = "0 0.25 0.5 0.125 0.5 0.9 12\n0 0.5 0.5 0.125 0.5\n0 0.75 0.5 0.125 0.5 -1\n\n"
    (root / "labels" / "street" / "0.txt").write_text(lines)
    first, second, third, *_ = prepare_yolo([root / "images" / "street"]).splits["train"].annotations
    assert first["bbox"] == [12, 12, 8, 24]
    assert [person["is_known"] for person in (first, second, third)] == [True, False, False]


def test_an_image_without_a_file_shows_nobody(tmp_path: Path) -> None:
    root = make_yolo(tmp_path)
    (root / "labels" / "street" / "0.txt").unlink()
    train = prepare_yolo([root / "images" / "street"]).splits["train"]
    assert len(train.images) == 6
    assert all(person["image_id"] != 0 for person in train.annotations)


def test_labels_beside_the_images(tmp_path: Path) -> None:
    make_scenes(tmp_path / "frames", [f"{row}.png" for row in range(6)])
    for row in range(6):
        (tmp_path / "frames" / f"{row}.txt").write_text("0 0.25 0.5 0.125 0.5 4\n")
    assert len(prepare_yolo([tmp_path / "frames"]).splits["train"].annotations) == 4


@pytest.mark.parametrize(("same", "persons"), [(False, [{0, 1}, {2, 3}]), (True, [{0, 1}, {0, 1}])])
def test_an_id_is_a_person_of_its_folder_or_of_all(same: bool, persons: list[set[int]], tmp_path: Path) -> None:
    one, two = (make_yolo(tmp_path / name) / "images" / "street" for name in ("one", "two"))
    converted = prepare_yolo([one], [two], same_ids=same)
    assert [{box["person_id"] for box in split.annotations} for split in converted.splits.values()] == persons
    assert [{image["cam_id"] for image in split.images} for split in converted.splits.values()] == [{1}, {2}]


def test_another_class(tmp_path: Path) -> None:
    root = make_yolo(tmp_path)
    for file in (root / "labels" / "street").iterdir():
        file.write_text("1 0.5 0.5 0.2 0.2 3\n0 0.5 0.5 0.2 0.2 3\n")
    assert prepare_yolo([root / "images" / "street"], person_class=1).dropped == {"boxes of other classes than 1": 9}


def test_folders_that_are_none(tmp_path: Path) -> None:
    root = make_yolo(tmp_path / "mine") / "images" / "street"
    with pytest.raises(UserError, match=r"street: the folder is named twice"):
        prepare_yolo([root], [root / ".." / "street"])
    with pytest.raises(UserError, match="nowhere: no such folder"):
        prepare_yolo([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="there are no images in it"):
        prepare_yolo([tmp_path / "mine" / "labels"])
    make_scenes(tmp_path / "images", ["a.jpg"])
    with pytest.raises(UserError, match=r"labels/a\.txt: no such file, and no labels of any other image"):
        prepare_yolo([tmp_path / "images"])


def line(content: str) -> Damage:
    return text("labels/street/3.txt", lambda lines: lines.insert(1, content))


BAD_YOLO: dict[str, tuple[Damage, str]] = {
    "four columns": (line("0 0.5 0.5 0.1"), r"street/3\.txt, line 2: 4 columns; a line is class cx cy w h"),
    "polygon": (line("0 " + "0.1 " * 8), "line 2: 9 columns"),
    "words": (line("person 0.5 0.5 0.1 0.1 3"), "line 2: 'person .* is not numbers between blanks"),
    "pixels": (line("0 32 24 10 20 3"), "line 2: box 32 24 10 20 is no cx cy w h in fractions"),
    "not finite": (line("0 nan 0.5 0.1 0.1 3"), "line 2: box nan"),
    "no size": (line("0 0.5 0.5 0 0.1 3"), "line 2: box 0.5 0.5 0 0.1"),
    "outside": (line("0 1.5 0.5 0.1 0.1 3"), "line 2: box .* is not in its 64x48 image"),
    "class in parts": (line("0.5 0.5 0.5 0.1 0.1 3"), "line 2: class 0.5 is no whole number"),
    "confidence for an id": (line("0 0.5 0.5 0.1 0.1 0.87"), r"line 2: id 0\.87 .*is it a confidence"),
    "not text": (fill("labels/street/3.txt", b"\xff\xfe\x80"), r"3\.txt: cannot be read: it is not text"),
    "image broken": (fill("images/street/3.jpg", b"no image"), r"3\.jpg: not an image"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_YOLO.values(), ids=BAD_YOLO)
def test_damaged_yolo(damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("yolo", damage, message, tmp_path, capsys)
