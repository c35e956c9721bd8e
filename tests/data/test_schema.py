"""Annotation files: what is read, what is refused and how it is said, and that writing is all or nothing."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spnet.data.schema import (
    ProtocolRecord,
    Split,
    check_images_exist,
    image_record,
    person_record,
    read_annotations,
    write_dataset,
)
from spnet.errors import UserError
from spnet.files import atomic_directory

IMAGES = [image_record(7, "a.jpg", 100, 80, 2), image_record(3, "b.jpg", 60, 50)]
PERSONS = [
    person_record(10, 3, (5, 6, 20, 30), 1),
    person_record(11, 7, (-4, 0, 30, 90), 1),
    person_record(12, 7, (50, 10, 10, 10), 9, is_known=False),
]


def make_document() -> dict[str, Any]:
    document = {"info": {"image_root": "images"}, "images": IMAGES, "annotations": PERSONS}
    return copy.deepcopy(document)


def save(document: Any, folder: Path) -> Path:
    path = folder / "annotations" / "train.json"
    path.parent.mkdir()
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_arrays_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    annotations = read_annotations(save(make_document(), tmp_path))
    assert annotations.image_root == tmp_path / "images"
    assert annotations.file_names == ("a.jpg", "b.jpg")
    np.testing.assert_array_equal(annotations.sizes, [[100, 80], [60, 50]])
    np.testing.assert_array_equal(annotations.cameras, [2, -1])
    np.testing.assert_array_equal(annotations.scene_ids[annotations.box_scene], [3, 7, 7])
    np.testing.assert_array_equal(annotations.boxes, [[5, 6, 25, 36], [-4, 0, 26, 90], [50, 10, 60, 20]])
    np.testing.assert_array_equal(annotations.is_known, [True, True, False])
    np.testing.assert_allclose(annotations.iou_thresholds, [0.5, 0.5, 0.25])


def test_fields_that_have_defaults_may_be_missing(tmp_path: Path) -> None:
    document = make_document()
    document["info"]["image_root"] = "/elsewhere"
    for record in document["annotations"]:
        del record["iou_thresh"], record["area"], record["iscrowd"], record["category_id"]
    del document["images"][0]["cam_id"]
    annotations = read_annotations(save(document, tmp_path))
    assert annotations.image_root == Path("/elsewhere")
    assert set(annotations.iou_thresholds) == {0.5}
    assert set(annotations.cameras) == {-1}


def image(**fields: Any) -> Callable[[Any], Any]:
    return lambda document: document["images"][1].update(fields)


def person(**fields: Any) -> Callable[[Any], Any]:
    return lambda document: document["annotations"][1].update(fields)


def third_box(document: Any) -> None:
    document["annotations"] += [person_record(20 + row, 7, (row, 1, 5, 5), 1) for row in range(2)]


MALFORMED: dict[str, tuple[Callable[[Any], Any] | str, str]] = {
    "empty file": ("", "not JSON: line 1 column 1"),
    "truncated": ('{"images": [', "not JSON: line 1"),
    "nested too deeply": ("[" * 100_000, "not JSON: nested too deeply"),
    "a list": ("[]", "no list 'images'"),
    "images missing": (lambda d: d.pop("images"), "no list 'images'"),
    "images an object": (lambda d: d.update(images={}), "no list 'images'"),
    "image a number": (lambda d: d.update(images=[4]), "image 0: is 4, not an object"),
    "no images": (lambda d: d.update(images=[]), "holds no image"),
    "no annotations": (lambda d: d.update(annotations=[]), "holds no annotation"),
    "annotations missing": (lambda d: d.pop("annotations"), "no list 'annotations'"),
    "info missing": (lambda d: d.pop("info"), "image_root is missing"),
    "image root missing": (lambda d: d["info"].pop("image_root"), "image_root is missing"),
    "image root a number": (lambda d: d["info"].update(image_root=3), "image_root is missing"),
    "image id twice": (image(id=7), r"image 1 \(id 7\): another image has the same id"),
    "image id a fraction": (image(id=1.5), r"image 1 \(id 1\.5\): id is 1\.5"),
    "image id a word": (image(id="x"), r"image 1 .*id is 'x'"),
    "image id true": (image(id=True), "image 1 .*id is True"),
    "image id huge": (image(id=10**30), "image 1 .*id is 1000"),
    "image without id": (lambda d: d["images"][1].pop("id"), "image 1: has no 'id'"),
    "image without name": (image(file_name=""), r"image 1 \(id 3\): file_name is ''"),
    "image of no width": (image(width=0), r"image 1 \(id 3\): width is 0"),
    "image of width a word": (image(width="60"), r"image 1 \(id 3\): width is '60'"),
    "camera a word": (image(cam_id="c1"), r"image 1 \(id 3\): cam_id is 'c1'"),
    "annotation id twice": (person(id=10), r"annotation 1 \(id 10\): another annotation"),
    "unknown image": (person(image_id=4), r"annotation 1 \(id 11\): image_id 4 is the id of no image"),
    "box missing": (lambda d: d["annotations"][1].pop("bbox"), r"annotation 1 \(id 11\): has no 'bbox'"),
    "box of three numbers": (person(bbox=[1, 2, 3]), r"\(id 11\): bbox is \[1, 2, 3\]"),
    "box not a number": (person(bbox=[1, 2, float("nan"), 4]), r"\(id 11\): bbox is \[1, 2, nan, 4\]"),
    "box infinite": (person(bbox=[float("-inf"), 2, 3, 4]), r"\(id 11\): bbox is \[-inf"),
    "box of words": (person(bbox="1 2 3 4"), r"\(id 11\): bbox is '1 2 3 4'"),
    "box without width": (person(bbox=[1, 2, 0, 4]), r"\(id 11\): .*must be positive"),
    "box negative": (person(bbox=[1, 2, 5, -4]), r"\(id 11\): .*must be positive"),
    "box right of the image": (person(bbox=[100, 2, 5, 4]), r"\(id 11\): .*outside its 100x80 image"),
    "box above the image": (person(bbox=[10, -9, 5, 9]), r"\(id 11\): .*outside its 100x80 image"),
    "person missing": (lambda d: d["annotations"][1].pop("person_id"), r"\(id 11\): has no 'person_id'"),
    "person negative": (person(person_id=-2), r"\(id 11\): person_id is -2"),
    "known a number": (person(is_known=1), r"\(id 11\): is_known is 1, not true or false"),
    "threshold zero": (person(iou_thresh=0), r"\(id 11\): iou_thresh is not in"),
    "threshold not a number": (person(iou_thresh=float("nan")), r"\(id 11\): iou_thresh is nan"),
    "a crowd": (person(iscrowd=1), r"\(id 11\): iscrowd"),
    "a car": (person(category_id=3), r"\(id 11\): category_id"),
    "known and unknown": (person(is_known=False), r"annotation 1 \(id 11\): its person_id is known"),
    "three boxes of a person": (third_box, r"annotation 1 \(id 11\): person 1 has 3 boxes in image 7"),
}


@pytest.mark.parametrize(("damage", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused(damage: Callable[[Any], Any] | str, message: str, tmp_path: Path) -> None:
    document = make_document()
    if not isinstance(damage, str):
        damage(document)
    path = save(damage if isinstance(damage, str) else document, tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_how_many_records_are_bad_is_said(tmp_path: Path) -> None:
    document = make_document()
    for record in document["annotations"]:
        record["image_id"] = 99
    with pytest.raises(
        UserError, match=re.escape("annotation 0 (id 10): image_id 99 is the id of no image (and 2 more)")
    ):
        read_annotations(save(document, tmp_path))


def test_a_missing_file_names_those_that_are_there(tmp_path: Path) -> None:
    path = save(make_document(), tmp_path)
    with pytest.raises(UserError, match=r"test\.json: no such file; that folder has train"):
        read_annotations(path.with_name("test.json"))


def test_missing_images_are_counted(tmp_path: Path) -> None:
    annotations = read_annotations(save(make_document(), tmp_path))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "b.jpg").touch()
    with pytest.raises(UserError, match=r"a\.jpg: no such image \(1 of 2 are missing\)"):
        check_images_exist(annotations)
    (tmp_path / "images" / "a.jpg").touch()
    check_images_exist(annotations)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    protocol: ProtocolRecord = {"queries": {"10": [7]}, "images": [3, 7]}
    write_dataset(tmp_path / "made" / "out", {"train": Split(IMAGES, PERSONS, "images")}, {"test": protocol})
    annotations = read_annotations(tmp_path / "made" / "out" / "annotations" / "train.json")
    np.testing.assert_array_equal(annotations.box_ids, [10, 11, 12])
    assert json.loads((tmp_path / "made" / "out" / "retrieval" / "test.json").read_text()) == protocol
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["out"]


def test_nothing_is_left_of_a_split_that_is_refused(tmp_path: Path) -> None:
    bad = Split(IMAGES, [person_record(1, 99, (1, 1, 5, 5), 1)], "images")
    with pytest.raises(UserError, match="image_id 99"):
        write_dataset(tmp_path / "made" / "out", {"train": Split(IMAGES, PERSONS, "p"), "val": bad}, {})
    assert list((tmp_path / "made").iterdir()) == []


def test_nothing_is_left_of_an_interruption(tmp_path: Path) -> None:
    def interrupted() -> None:
        with atomic_directory(tmp_path / "out") as folder:
            (folder / "half").touch()
            assert not (tmp_path / "out").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_an_output_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made"), atomic_directory(tmp_path / "file" / "out"):
        pass
