"""One's own COCO file: where identities, cameras and images are found, and what is left out and said."""

import json
from pathlib import Path
from typing import Any

import pytest
from damage import Damage, check_refusal, fill, json_file, remove
from releases import edit_json, make_coco, make_scenes

from spnet.cli.main import main
from spnet.data.converters.coco import prepare_coco
from spnet.data.converters.summary import ConvertedDataset
from spnet.errors import UserError


def people(converted: ConvertedDataset, part: str = "train") -> list[int | None]:
    """Who is in each box, None where nobody knows."""
    return [box["person_id"] if box["is_known"] else None for box in converted.splits[part].annotations]


def person_to_track(document: Any) -> None:
    for box in document["annotations"]:
        box["track_id"] = box.pop("person_id", -1)


def edited(root: Path, edit: Any, file: str = "labels.json") -> Path:
    edit_json(root / file, edit)
    return root / file


def test_a_file_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_coco(tmp_path / "mine")
    command = ["prepare", "coco", "--train", str(root / "labels.json"), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines()[1:3]] == [
        ["train", "6", "18", "12", "6", "2"],
        ["test", "3", "9", "6", "3", "2"],
    ]
    assert "the same people are in train and test: 2 of the 2 identities of test" in printed
    assert main(["inspect", str(tmp_path / "out"), "--decode"]) == 0
    split = json.loads((tmp_path / "out" / "annotations" / "train.json").read_text())
    assert Path(split["info"]["image_root"]) == root / "data"
    assert split["images"][0]["file_name"] == "0.jpg"


def test_two_files_have_the_same_persons_but_other_tracks(tmp_path: Path) -> None:
    one, two = (make_coco(tmp_path / name) / "labels.json" for name in ("one", "two"))
    assert people(prepare_coco(one, two)) == [0, 1, None] * 9
    assert people(prepare_coco(one, two), "test") == [0, 1, None] * 9
    for file in (one, two):
        edit_json(
            file, lambda document: [box.update(track_id=box.pop("person_id", -1)) for box in document["annotations"]]
        )
    assert people(prepare_coco(one, two)) == [0, 1, None] * 9
    assert people(prepare_coco(one, two), "test") == [2, 3, None] * 9


def test_identities_are_in_attributes_too_and_tracks_end_with_their_video(tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        for image in document["images"]:
            image["video_id"] = image["id"] % 2
        for box in document["annotations"]:
            who = box.pop("person_id", None)
            box["attributes"] = {"occluded": False, "track_id": who if who is None else int(who[1:])}

    converted = prepare_coco(edited(make_coco(tmp_path, scenes=12), edit))
    assert people(converted)[:9] == [0, 1, None, 2, 3, None, 0, 1, None]
    assert [image["cam_id"] for image in converted.splits["train"].images] == [1, 2] * 4


def test_a_person_goes_before_a_track(tmp_path: Path) -> None:
    root = make_coco(tmp_path)
    labels = edited(root, lambda document: [box.update(track_id=box["id"]) for box in document["annotations"]])
    assert people(prepare_coco(labels))[:6] == [0, 1, 2, 0, 1, 3]


def test_what_is_no_person_is_counted(tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        first, second, third = document["annotations"][:3]
        first["category_id"], second["iscrowd"], third["bbox"][2] = 1, 1, 0

    converted = prepare_coco(edited(make_coco(tmp_path), edit))
    assert converted.dropped == {
        "annotations of other categories than person": 1,
        "crowds": 1,
        "boxes without an area": 1,
    }
    assert len(converted.splits["train"].annotations) == 15


def test_a_complaint_counts_the_records_that_are_left_out(tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        document["annotations"][1]["iscrowd"] = 1
        document["annotations"][4]["person_id"] = 3.5

    with pytest.raises(UserError, match=r"annotation 4 \(id 4\): person_id is 3\.5"):
        prepare_coco(edited(make_coco(tmp_path), edit))


def test_another_category(tmp_path: Path) -> None:
    labels = edited(make_coco(tmp_path), lambda document: document["categories"][1].update(name="Pedestrian"))
    assert people(prepare_coco(labels, category="pedestrian"))[:3] == [0, 1, None]


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        ("annotations/instances_default.json", "images/default"),
        ("annotations/instances_train2017.json", "train2017"),
        ("gate.json", "."),
        ("gate.json", "images"),
    ],
)
def test_images_are_found_around_the_file(labels: str, images: str, tmp_path: Path) -> None:
    made = make_coco(tmp_path / "made")
    file = tmp_path / "mine" / labels
    file.parent.mkdir(parents=True)
    (made / "labels.json").rename(file)
    (tmp_path / "mine" / images).parent.mkdir(exist_ok=True)
    if images == ".":
        for image in (made / "data").iterdir():
            image.rename(tmp_path / "mine" / image.name)
    else:
        (made / "data").rename(tmp_path / "mine" / images)
    assert Path(prepare_coco(file).splits["train"].image_root) == (tmp_path / "mine" / images).resolve()


def test_images_may_be_named(tmp_path: Path) -> None:
    root = make_coco(tmp_path / "mine")
    make_scenes(tmp_path / "other", [f"{row}.jpg" for row in range(9)])
    converted = prepare_coco(root / "labels.json", images=tmp_path / "other")
    assert Path(converted.splits["test"].image_root) == tmp_path / "other"


def box(**keys: Any) -> Damage:
    """Change the fifth annotation, whose id is 4."""
    return json_file("labels.json", lambda document: document["annotations"][4].update(keys))


BAD_COCO: dict[str, tuple[Damage, str]] = {
    "missing": (remove("labels.json"), r"labels\.json: no such file"),
    "not json": (fill("labels.json", b"{"), r"labels\.json: not JSON: line 1"),
    "no object": (fill("labels.json", b"[]"), "not a COCO annotation file"),
    "no images": (json_file("labels.json", lambda document: document["images"].clear()), "it holds no image"),
    "no categories": (json_file("labels.json", lambda document: document.pop("categories")), "no list 'categories'"),
    "no person": (
        json_file("labels.json", lambda document: document["categories"].pop()),
        r"labels\.json: it has no category 'person'; --category: choose car",
    ),
    "no identity": (
        json_file("labels.json", lambda document: [box.pop("person_id", 0) for box in document["annotations"]]),
        r"labels\.json: no annotation of category 'person' has person_id or track_id",
    ),
    "identity of a kind": (box(person_id=3.5), r"annotation 4 \(id 4\): person_id is 3\.5, neither a whole number"),
    "identity of truth": (box(person_id=True), r"annotation 4 .*person_id is True, neither"),
    "attributes of a kind": (box(attributes=[1]), r"annotation 4 .*attributes is \[1\], not an object"),
    "image unknown": (box(image_id=99), r"annotation 4 .*image_id 99 is the id of no image"),
    "box of words": (box(bbox=["a", 1, 2, 3]), r"annotation 4 .*not four finite numbers"),
    "box outside": (box(bbox=[70, 1, 5, 5]), r"labels\.json: annotation 4: box \[70, 1, 5, 5\].*64x48 image"),
    "no id": (
        json_file("labels.json", lambda document: document["annotations"][4].pop("id")),
        "annotation 4: has no 'id'",
    ),
    "image twice": (json_file("labels.json", lambda document: document["images"][1].update(id=0)), "has the same id"),
    "image missing": (remove("data/5.jpg"), r"5\.jpg: no such image"),
    "image broken": (fill("data/5.jpg", b"no image"), r"5\.jpg: not an image"),
    "images missing": (
        lambda root: (root / "data").rename(root / "frames"),
        r"its image 0\.jpg is in none of .* --images",
    ),
    "image of another size": (
        json_file("labels.json", lambda document: document["images"][2].update(width=65)),
        r"image 2 \(id 2\): .*2\.jpg has 64x48 pixels, not 65x48$",
    ),
    "image turned": (
        json_file("labels.json", lambda document: document["images"][2].update(width=48, height=64)),
        "not 48x64; its EXIF orientation turns it",
    ),
}


@pytest.mark.parametrize(("damage", "message"), BAD_COCO.values(), ids=BAD_COCO)
def test_damaged_coco(damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("coco", damage, message, tmp_path, capsys)
