"""Damaged CUHK-SYSU: one line that names the file and the record, exit status 2, nothing left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import Damage, check_refusal, cut, fill, mat, put, remove, rename
from releases import cells, edit_mat

ANNOTATION = "annotation/"
TESTS = "annotation/test/train_test/"


def scene_box(box: Any) -> Damage:
    """The first box of scene s1.jpg, in its own file."""

    def edit(content: dict[str, Any]) -> None:
        content["Img"][0, 0]["box"][0, 0]["idlocate"] = np.array([box])

    return mat(f"{ANNOTATION}Images.mat", edit)


def query(field: str, value: Any) -> Damage:
    def edit(content: dict[str, Any]) -> None:
        content["TestG50"][0, 0]["Query"][0, 0][field] = value

    return mat(f"{TESTS}TestG50.mat", edit)


def gallery(edit: Callable[[dict[str, Any]], Any]) -> Damage:
    return mat(f"{TESTS}TestG50.mat", edit)


def three_boxes_in_s1(content: dict[str, Any]) -> None:
    """Make person 1 three boxes of s1.jpg."""
    boxes = [(10.0, 10.0, 9.0, 9.0), (30.0, 10.0, 9.0, 9.0), (50.0, 10.0, 9.0, 9.0)]
    for row, box in enumerate(boxes):
        content["Train"][0, 0][0, 0]["scene"][0, row]["imname"] = np.array(["s1.jpg"])
        content["Train"][0, 0][0, 0]["scene"][0, row]["idlocate"] = np.array([box])


def three_boxes_of_a_scene(content: dict[str, Any]) -> None:
    boxes = [(10.0, 10.0, 9.0, 9.0), (30.0, 10.0, 9.0, 9.0), (50.0, 10.0, 9.0, 9.0)]
    entries = np.empty((1, 3), content["Img"][0, 0]["box"].dtype)
    for row, box in enumerate(boxes):
        entries[0, row] = (np.array([box]), np.array([[0]]))
    content["Img"][0, 0]["box"] = entries


def thrice(root: Path) -> None:
    edit_mat(root / f"{ANNOTATION}Images.mat", three_boxes_of_a_scene)
    edit_mat(root / f"{TESTS}Train.mat", three_boxes_in_s1)


BAD_CUHK: dict[str, tuple[Damage, str]] = {
    "scenes missing": (remove(f"{ANNOTATION}Images.mat"), r"Images\.mat: no such file.*annotation"),
    "scenes truncated": (cut(f"{ANNOTATION}Images.mat"), r"Images\.mat: damaged"),
    "scenes empty": (fill(f"{ANNOTATION}Images.mat", b""), r"Images\.mat: damaged"),
    "scenes not matlab": (fill(f"{ANNOTATION}Images.mat", b"hello " * 99), r"Images\.mat: damaged"),
    "scenes hdf5": (fill(f"{ANNOTATION}Images.mat", b"\x89HDF\r\n\x1a\n" + b"\0" * 600), r"Images\.mat: damaged"),
    "scenes wrong key": (mat(f"{ANNOTATION}Images.mat", rename("Img", "Image")), r"has no 'Img', only 'Image'"),
    "scenes not structs": (mat(f"{ANNOTATION}Images.mat", put("Img", np.eye(3))), r"Img: not a list of structs"),
    "scene twice": (
        mat(f"{ANNOTATION}Images.mat", lambda c: c["Img"][0, 1].__setitem__("imname", np.array(["s1.jpg"]))),
        r"Images\.mat: scene 2: s1\.jpg is listed twice",
    ),
    "scene without number": (
        mat(f"{ANNOTATION}Images.mat", lambda c: c["Img"][0, 1].__setitem__("imname", np.array(["street.jpg"]))),
        r"scene street\.jpg: its name has no number",
    ),
    "scene without name": (
        mat(f"{ANNOTATION}Images.mat", lambda c: c["Img"][0, 1].__setitem__("imname", np.array([[7]]))),
        r"Images\.mat: scene 2: not a name",
    ),
    "box not a number": (scene_box([5.0, 5.0, np.nan, 9.0]), r"scene 1 \(s1\.jpg\) box 1: .*not finite"),
    "box negative": (scene_box([5.0, 5.0, -8.0, 9.0]), r"scene 1 \(s1\.jpg\) box 1: .*negative"),
    "box of three numbers": (scene_box([5, 5, 8]), r"scene 1 \(s1\.jpg\) box 1: not a box of four"),
    "box outside": (scene_box([5000, 5, 8, 9]), r"scene s1\.jpg box 1: box \[5000, .* is not in its 267x227"),
    "three boxes of a person": (thrice, r"scene s1\.jpg box 3: a third box of person 1"),
    "pool missing": (remove(f"{ANNOTATION}pool.mat"), r"pool\.mat: no such file"),
    "pool not names": (mat(f"{ANNOTATION}pool.mat", put("pool", np.eye(2))), r"pool: not a cell array of names"),
    "pool unknown scene": (
        mat(f"{ANNOTATION}pool.mat", lambda c: c["pool"].__setitem__((2, 0), np.array(["s99.jpg"]))),
        r"pool 3: scene s99\.jpg is not in Images\.mat",
    ),
    "pool scene twice": (
        mat(f"{ANNOTATION}pool.mat", lambda c: c["pool"].__setitem__((2, 0), np.array(["s17.jpg"]))),
        r"pool 3: s17\.jpg is listed twice",
    ),
    "train truncated": (cut(f"{TESTS}Train.mat"), r"Train\.mat: damaged"),
    "train wrong key": (mat(f"{TESTS}Train.mat", rename("Train", "train")), r"Train\.mat: has no 'Train'"),
    "train without scenes": (
        mat(f"{TESTS}Train.mat", put("Train", cells([np.array([[1]])] * 2))),
        r"Train\.mat: Train 1: not a list of structs with scene",
    ),
    "gallery missing": (remove(f"{TESTS}TestG4000.mat"), r"TestG4000\.mat: no such file"),
    "gallery truncated": (cut(f"{TESTS}TestG100.mat"), r"TestG100\.mat: damaged"),
    "gallery wrong key": (
        mat("annotation/test/subset/Occlusion.mat", rename("Occlusion1", "Occlusion")),
        r"Occlusion\.mat: has no 'Occlusion1', only 'Occlusion'",
    ),
    "no queries": (gallery(lambda c: c.update(TestG50=c["TestG50"][:, :0])), r"TestG50\.mat: TestG50"),
    "query without box": (query("idlocate", np.empty((1, 0))), r"TestG50\.mat: query 1: .*not one"),
    "query box unknown": (
        query("idlocate", np.array([[1, 2, 30, 40]])),
        r"query 1: its box \[1, 2, 30, 40\] is no box",
    ),
    "query in a train scene": (query("imname", np.array(["s1.jpg"])), r"query 1: scene s1\.jpg is not one of the test"),
    "gallery empty": (
        gallery(lambda c: c["TestG50"][0, 1].__setitem__("Gallery", c["TestG50"][0, 1]["Gallery"][:, :0])),
        r"TestG50\.mat: query 2",
    ),
    "gallery unknown scene": (
        gallery(lambda c: c["TestG50"][0, 1]["Gallery"][0, 4].__setitem__("imname", np.array(["s77.jpg"]))),
        r"query 2: scene s77\.jpg is not one of the test scenes",
    ),
    "image missing": (remove("Image/SSM/s7.jpg"), r"s7\.jpg: no such image"),
    "image empty": (fill("Image/SSM/s7.jpg", b""), r"s7\.jpg: not an image"),
    "image is text": (fill("Image/SSM/s7.jpg", b"<html>404</html>"), r"s7\.jpg: not an image"),
    "images elsewhere": (lambda root: (root / "Image").rename(root / "Bild"), r"Image/SSM: no such folder"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_CUHK.values(), ids=BAD_CUHK)
def test_damaged_cuhk_sysu(damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("cuhk-sysu", damage, message, tmp_path, capsys)
