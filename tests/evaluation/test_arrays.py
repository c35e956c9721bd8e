"""The detections file: written and read back, and every mistake in it named in one line."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from evaluation_oracle import random_gallery

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays, confident_detections, read_arrays, write_arrays
from spnet.evaluation.gallery_filter import read_gallery_filter


@pytest.fixture
def arrays() -> EvaluationArrays:
    return random_gallery(7)[0]


def test_what_is_written_is_read(arrays: EvaluationArrays, tmp_path: Path) -> None:
    write_arrays(tmp_path / "detections.npz", arrays)
    again = read_arrays(tmp_path / "detections.npz")
    for field in fields(EvaluationArrays):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(arrays, field.name))
    assert [path.name for path in tmp_path.iterdir()] == ["detections.npz"]


def test_detections_below_the_score_are_left_out(arrays: EvaluationArrays) -> None:
    confident = confident_detections(arrays, 0.5)
    assert 0 < len(confident.det_image) < len(arrays.det_image)
    assert confident.det_score.min() == 0.5
    assert confident_detections(confident, 0.5) is confident


def changed(values: npt.NDArray[Any], row: int | tuple[int, int], value: object) -> npt.NDArray[Any]:
    values = values.copy()
    values[row] = value
    return values


MISTAKES = [
    (
        "image_ids",
        lambda a: np.append(a.image_ids[:-1], a.image_ids[0]),
        r"image_ids\[\d+\] is \d+: this id comes twice",
    ),
    (
        "gt_annotation",
        lambda a: changed(a.gt_annotation, 1, a.gt_annotation[0]),
        r"gt_annotation\[1\] \(scene \d+\) is \d+: this id comes twice",
    ),
    ("gt_image", lambda a: changed(a.gt_image, 2, 12345), r"gt_image\[2\] is 12345: this scene is not in image_ids"),
    ("det_image", lambda a: changed(a.det_image, 0, -1), r"det_image\[0\] is -1: this scene is not in image_ids"),
    (
        "det_box",
        lambda a: changed(a.det_box, 3, [5, 5, 5, 9]),
        r"det_box\[3\] \(scene \d+\) is \[5., ?5., ?5., ?9.\]: not a box x1, y1, x2, y2",
    ),
    ("gt_box", lambda a: changed(a.gt_box, 0, [5, 9, 6, 8]), r"gt_box\[0\] \(scene \d+\) is .*: not a box"),
    ("gt_box", lambda a: changed(a.gt_box, 0, np.nan), r"gt_box\[0\] \(scene \d+\) is .*: not finite"),
    ("det_score", lambda a: changed(a.det_score, 4, np.nan), r"det_score\[4\] \(scene \d+\) is nan: not finite"),
    ("det_emb", lambda a: changed(a.det_emb, 4, np.inf), r"det_emb\[4\] \(scene \d+\) is \[.*\]: not finite"),
    ("gt_emb", lambda a: changed(a.gt_emb, (1, 2), np.nan), r"gt_emb\[1\] \(scene \d+\) is \[.*\]: not finite"),
    (
        "gt_iou_thresh",
        lambda a: changed(a.gt_iou_thresh, 0, 0),
        r"gt_iou_thresh\[0\] \(scene \d+\) is 0.0: not in \(0, 1\]",
    ),
    ("gt_iou_thresh", lambda a: changed(a.gt_iou_thresh, 0, 1.5), r".* is 1.5: not in \(0, 1\]"),
    ("det_score", lambda a: a.det_score[:-1], r"det_score has shape \(\d+,\), expected \(\d+,\)"),
    ("gt_person", lambda a: a.gt_person[1:], r"gt_person has shape \(\d+,\), expected \(\d+,\)"),
    ("gt_person", lambda a: a.gt_person.astype(float), r"gt_person holds float64, not integers"),
    ("det_emb", lambda a: a.det_emb[:, :3], r"det_emb has shape \(\d+, 3\), expected \(\d+, 16\)"),
    ("det_emb", lambda a: a.det_emb.astype(int), r"det_emb holds int64, not floating-point numbers"),
    (
        "gt_emb",
        lambda a: a.gt_emb[:, :0],
        r"gt_emb has shape .*: embeddings need at least one dimension|det_emb has shape",
    ),
    ("gt_emb", lambda a: a.gt_emb.ravel(), r"gt_emb has shape"),
    ("image_ids", lambda a: a.image_ids[None], r"image_ids has shape \(1, \d+\), expected one"),
    ("image_ids", lambda a: a.image_ids[0], r"image_ids has shape \(\)"),
    ("det_box", lambda a: a.det_box[:, :3], r"det_box has shape \(\d+, 3\), expected \(\d+, 4\)"),
]


@pytest.mark.parametrize(("name", "mistake", "message"), MISTAKES)
def test_mistakes_are_named(
    arrays: EvaluationArrays, tmp_path: Path, name: str, mistake: Callable[[EvaluationArrays], Any], message: str
) -> None:
    content = {field.name: getattr(arrays, field.name) for field in fields(EvaluationArrays)}
    content[name] = mistake(arrays)
    with pytest.raises(UserError, match=f"^{message}"):
        EvaluationArrays(**content)
    path = tmp_path / "wrong.npz"
    np.savez(path, **content)
    with pytest.raises(UserError, match=message) as caught:
        read_arrays(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_files_that_are_something_else(arrays: EvaluationArrays, tmp_path: Path) -> None:
    path = tmp_path / "detections.npz"
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_arrays(path)
    write_arrays(path, arrays)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"not a detections file \(.npz\)"):
        read_arrays(path)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"detections\.npz: "):
        read_arrays(path)
    for content in (b"", b"hello", b"\x80\x04K\x01."):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"not a detections file \(.npz\)"):
            read_arrays(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    for read in (read_arrays, read_gallery_filter):
        with pytest.raises(UserError, match="not a detections file"):
            read(path)
    np.savez(path, image_ids=np.arange(3))
    with pytest.raises(UserError, match="it has no array 'gt_image'; a detections file holds image_ids, gt_image"):
        read_arrays(path)
    objects: dict[str, Any] = {field.name: np.array([None]) for field in fields(EvaluationArrays)}
    np.savez(path, **objects)
    with pytest.raises(UserError, match="not a detections file"):
        read_arrays(path)


def test_a_file_that_cannot_be_written(arrays: EvaluationArrays, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        write_arrays(tmp_path / "missing" / "detections.npz", arrays)


def test_a_search_without_detections_is_valid(arrays: EvaluationArrays) -> None:
    nothing = confident_detections(arrays, 2.0)
    assert len(nothing.det_emb) == 0
    assert replace(nothing, det_score=np.empty(0)).det_box.shape == (0, 4)
