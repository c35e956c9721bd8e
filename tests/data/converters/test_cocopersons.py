"""COCOPersons beyond the subsets: layouts, images, what is counted, wrong boxes and their numbers."""

from pathlib import Path
from typing import Any

from releases import SOURCES, copy_release, edit_json

from spnet.data.converters.cocopersons import prepare_cocopersons
from spnet.data.schema import write_dataset

TRAIN = "annotations/instances_train2017.json"


def test_every_box_is_its_own_known_person() -> None:
    converted = prepare_cocopersons(SOURCES["cocopersons"])
    for split in converted.splits.values():
        assert all(record["person_id"] == record["id"] for record in split.annotations)
        assert {(record["is_known"], record["iou_thresh"]) for record in split.annotations} == {(True, 0.5)}
        assert {record["image_id"] for record in split.annotations} == {image["id"] for image in split.images}
    assert (
        len(converted.splits["train"].annotations) + converted.dropped["crowds of persons in instances_train2017.json"]
        == 331
    )


def test_wrong_boxes_are_scaled_to_their_new_image() -> None:
    splits = prepare_cocopersons(SOURCES["cocopersons"]).splits
    sizes = {image["id"]: (image["width"], image["height"]) for image in splits["train"].images}
    shapes = {
        tuple(round(value / sizes[record["image_id"]][axis % 2], 9) for axis, value in enumerate(record["bbox"]))
        for record in splits["train"].annotations
    }
    wrong = [record for record in splits["p180"].annotations if record["id"] >= 300000]
    assert wrong
    for record in wrong:
        size = sizes[record["image_id"]]
        assert tuple(round(value / size[axis % 2], 9) for axis, value in enumerate(record["bbox"])) in shapes


def test_a_wrong_box_gets_no_number_that_is_taken(tmp_path: Path) -> None:
    root = copy_release("cocopersons", tmp_path / "coco")
    edit_json(root / TRAIN, lambda document: document["annotations"][1].update(id=300001))
    converted = prepare_cocopersons(root)
    numbers = [record["id"] for record in converted.splits["p120"].annotations if record["id"] >= 300000]
    assert sorted(numbers)[:4] == [300000, 300001, 300002, 300003]
    assert len(set(numbers)) == len(numbers)
    write_dataset(tmp_path / "out", converted.splits, {})


def test_images_are_found_where_people_keep_them(tmp_path: Path) -> None:
    for images in ("train2017", "images/train2017"):
        root = copy_release("cocopersons", tmp_path / images.replace("/", "_"))
        (root / images).mkdir(parents=True)
        for image in prepare_cocopersons(SOURCES["cocopersons"]).splits["train"].images:
            (root / images / image["file_name"]).touch()
        converted = prepare_cocopersons(root)
        assert converted.splits["p20"].image_root == str(root / images)
        assert not any("train2017: no images there" in note for note in converted.notes)


def test_annotations_without_their_folder_are_found(tmp_path: Path) -> None:
    root = copy_release("cocopersons", tmp_path / "coco")
    assert prepare_cocopersons(root / "annotations").splits == prepare_cocopersons(root).splits
    for path in (root / "annotations").iterdir():
        path.rename(root / path.name)
    assert list(prepare_cocopersons(root).splits) == list(prepare_cocopersons(SOURCES["cocopersons"]).splits)


def test_boxes_without_an_area_are_counted(tmp_path: Path) -> None:
    root = copy_release("cocopersons", tmp_path / "coco")
    edit_json(root / TRAIN, lambda document: document["annotations"][1].update(bbox=[1, 2, 0, 4]))
    converted = prepare_cocopersons(root)
    assert converted.dropped["persons of instances_train2017.json whose box has no area"] == 1
    assert len(converted.splits["train"].annotations) == 295


def test_images_of_one_pixel_are_images(tmp_path: Path) -> None:
    root = copy_release("cocopersons", tmp_path / "coco")

    def shrink(document: dict[str, Any]) -> None:
        image = next(image for image in document["images"] if image["id"] == document["annotations"][0]["image_id"])
        image.update(width=1, height=1)
        for record in document["annotations"]:
            if record["image_id"] == image["id"]:
                record.update(bbox=[0, 0, 1, 1])
        shrunk.append(image["id"])

    shrunk: list[int] = []
    edit_json(root / TRAIN, shrink)
    images = prepare_cocopersons(root).splits["train"].images
    assert [(image["width"], image["height"]) for image in images if image["id"] == shrunk[0]] == [(1, 1)]
