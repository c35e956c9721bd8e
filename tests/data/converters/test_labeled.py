"""One's own labeled scenes: who is known, how parts are made, who is searched for."""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path

import pytest

from spnet.data.converters.labeled import LabeledBox, LabeledScene, convert_labeled
from spnet.data.converters.summary import ConvertedDataset
from spnet.data.schema import write_dataset
from spnet.errors import UserError

ROOT = Path("/scenes")


def scene(
    name: str, people: list[Hashable | None], camera: Hashable | None = None, query: bool = False
) -> LabeledScene:
    boxes = [LabeledBox((9 * number, 5, 8, 20), who, f"{name}, {number}", query) for number, who in enumerate(people)]
    return LabeledScene(ROOT / name, (64, 48), camera, boxes)


def convert(train: list[LabeledScene], test: list[LabeledScene]) -> ConvertedDataset:
    return convert_labeled(train, test, ROOT, "labels", Counter(crowds=2, nothing=0))


def test_persons_and_cameras_are_numbered_as_they_come(tmp_path: Path) -> None:
    train = [scene("a.jpg", ["x", None], "gate"), scene("b.jpg", [None, "y"], "yard")]
    test = [scene("c.jpg", ["z", "y"], "yard"), scene("d.jpg", ["z"], "roof")]
    converted = convert(train, test)
    people = {name: [box["person_id"] for box in split.annotations] for name, split in converted.splits.items()}
    assert people == {"train": [0, 3, 4, 1], "test": [2, 1, 2]}
    known = {name: [box["is_known"] for box in split.annotations] for name, split in converted.splits.items()}
    assert known == {"train": [True, False, False, True], "test": [True, True, True]}
    assert [image["cam_id"] for split in converted.splits.values() for image in split.images] == [1, 2, 2, 3]
    assert converted.protocols == {"test": {"queries": [4, 6], "images": [2, 3]}}
    assert converted.dropped == {"crowds": 2}
    assert converted.notes == ["the same people are in train and test: 1 of the 2 identities of test"]
    write_dataset(tmp_path / "data", converted.splits, converted.protocols)  # it is valid


def test_the_last_third_of_each_camera_is_the_test_part() -> None:
    scenes = [scene(f"{row}{camera}.jpg", ["x"], camera) for row in range(6) for camera in "ab"]
    splits = convert(scenes, []).splits
    assert [image["file_name"] for image in splits["train"].images] == [
        f"{row}{name}.jpg" for row in range(4) for name in "ab"
    ]
    assert [image["file_name"] for image in splits["test"].images] == ["4a.jpg", "4b.jpg", "5a.jpg", "5b.jpg"]


def test_queries_may_be_chosen() -> None:
    test = [scene("b.jpg", ["x"]), scene("c.jpg", ["x", "y"], query=True), scene("d.jpg", ["y"])]
    assert convert([scene("a.jpg", ["z"])], test).protocols["test"]["queries"] == [2, 3]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([["x"]], [["x"]], "labels: no person is in two of the 1 test scenes"),
        ([[None]], [["x"], ["x"]], "labels: the train part would have no person whose identity is known"),
        ([["x"]], [[None]], "labels: the test part would have no person whose identity is known"),
        ([["x", "x", "x"]], [["x"], ["x"]], r"train0\.jpg, 2: a third box of person 0 in one scene"),
        ([["x"] * 2, ["y"] * 8], [["x"], ["x"]], r"train1\.jpg, 2: a third box"),
        ([[*"abcdefghi"]], [["x"], ["x"]], r"train0\.jpg, 8: box \[72, 5, 8, 20\].*64x48"),
    ],
)
def test_what_cannot_be(train: list[list[Hashable]], test: list[list[Hashable]], message: str) -> None:
    first, second = (
        [scene(f"{name}{row}.jpg", people) for row, people in enumerate(part)]
        for name, part in (("train", train), ("test", test))
    )
    with pytest.raises(UserError, match=message):
        convert(first, second)
