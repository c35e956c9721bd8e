"""Damaged COCO: one line that names the file and the record, exit status 2, nothing left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import Damage, check_refusal, cut, fill, remove
from releases import edit_json

TRAIN_JSON = "annotations/instances_train2017.json"


def coco(edit: Callable[[Any], Any], file: str = TRAIN_JSON) -> Damage:
    return lambda root: edit_json(root / file, edit)


def first_person(content: Any) -> dict[str, Any]:
    return next(row for row in content["annotations"] if row["category_id"] == 1 and not row["iscrowd"])


def person(**fields: Any) -> Damage:
    return coco(lambda content: first_person(content).update(fields))


def some_images(root: Path) -> None:
    (root / "train2017").mkdir()
    (root / "train2017" / "000000100025.jpg").touch()


BAD_COCO: dict[str, tuple[Damage, str]] = {
    "not JSON": (fill(TRAIN_JSON, b"hello"), r"instances_train2017\.json: not JSON: line 1 column 1"),
    "truncated": (cut(TRAIN_JSON), r"instances_train2017\.json: not JSON: line 1"),
    "not text": (fill(TRAIN_JSON, b"\xff\xfe\x80\x00"), r"instances_train2017\.json: not JSON"),
    "not COCO": (fill(TRAIN_JSON, b"[1, 2]"), r"instances_train2017\.json: not a COCO annotation file"),
    "no categories": (coco(lambda c: c.pop("categories")), r"not a COCO annotation file: it has no list 'categories'"),
    "other categories": (coco(lambda c: c["categories"][0].update(name="cat")), r"number 1 is \['cat'\], not 'person'"),
    "val missing": (remove("annotations/instances_val2017.json"), r"instances_val2017\.json: no such file; .*zip"),
    "image twice": (coco(lambda c: c["images"].append(c["images"][0])), r"image 60 \(id 100025\): another image has"),
    "annotation twice": (
        coco(lambda c: first_person(c).update(id=1085)),
        r"\(id 1085\): another annotation has the same",
    ),
    "image without width": (coco(lambda c: c["images"][3].pop("width")), r"image 3 .* has no 'width'"),
    "image of no height": (coco(lambda c: c["images"][3].update(height=0)), r"image 3 .* height is 0"),
    "unknown image": (person(image_id=5), r"\(id 1050\): image_id 5 is the id of no image"),
    "box missing": (coco(lambda c: first_person(c).pop("bbox")), r"\(id 1050\): has no 'bbox'"),
    "box not a number": (person(bbox=[1, 2, float("nan"), 4]), r"\(id 1050\): bbox is \[1, 2, nan, 4\]"),
    "box infinite": (person(bbox=[1, 2, float("inf"), 4]), r"\(id 1050\): bbox is \[1, 2, inf, 4\]"),
    "box negative": (person(bbox=[1, 2, -3, 4]), r"\(id 1050\): bbox is \[1, 2, -3, 4\]"),
    "box of words": (person(bbox=["1", "2", "3", "4"]), r"\(id 1050\): bbox is \['1'"),
    "box outside": (person(bbox=[9000, 2, 3, 4]), r"annotation 1050: box \[9000, 2, 3, 4\]"),
    "crowd of words": (person(iscrowd="no"), r"\(id 1050\): iscrowd is 'no'"),
    "nobody": (coco(lambda c: c.update(annotations=[])), r"instances_train2017\.json: it holds no person"),
    "some images missing": (some_images, r"train2017/.*\.jpg: no such image \(55 of 56 are missing\)"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_COCO.values(), ids=BAD_COCO)
def test_damaged_cocopersons(damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("cocopersons", damage, message, tmp_path, capsys)
