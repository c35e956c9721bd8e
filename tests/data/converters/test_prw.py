"""PRW beyond the parity case: line ends, queries one pixel off, boxes without an area."""

from pathlib import Path

import numpy as np
import pytest
from releases import SOURCES, copy_release, edit_lines, edit_mat

from spnet.data.converters.prw import prepare_prw

FRAME = "annotations/c1s1_000001.jpg.mat"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_do_not_matter(line_end: bytes, tmp_path: Path) -> None:
    root = copy_release("prw", tmp_path / "release")
    lines = (root / "query_info.txt").read_text().splitlines()
    (root / "query_info.txt").write_bytes(line_end.join(line.encode() for line in lines) + line_end)
    assert prepare_prw(root).protocols == prepare_prw(SOURCES["prw"]).protocols


def test_a_query_one_pixel_wider_means_its_annotation(tmp_path: Path) -> None:
    root = copy_release("prw", tmp_path / "release")

    def widen(lines: list[str]) -> None:
        lines[3] = "11 98.56 19.19 32.0 58.0 c3s1_000301"

    edit_lines(root / "query_info.txt", widen)
    prepared = prepare_prw(root)
    assert prepared.protocols == prepare_prw(SOURCES["prw"]).protocols
    assert "1 query boxes are one pixel off the annotation they mean: c3s1_000301" in prepared.notes


def test_coordinates_are_cut_to_pixels_and_clipped_at_zero(tmp_path: Path) -> None:
    root = copy_release("prw", tmp_path / "release")
    table = np.array([[3, -4.7, 5.9, 20.9, 30.2], [-2, 7, 8, 0.5, 9]])
    edit_mat(root / FRAME, lambda content: content.update(box_new=table))
    prepared = prepare_prw(root)
    assert prepared.splits["trainval"].annotations[0]["bbox"] == [0, 5, 20, 30]
    assert prepared.dropped == {"boxes without an area": 1}


def test_a_frame_without_boxes_stays_as_a_scene(tmp_path: Path) -> None:
    root = copy_release("prw", tmp_path / "release")
    edit_mat(root / FRAME, lambda content: content.update(box_new=np.empty((0, 5))))
    trainval = prepare_prw(root).splits["trainval"]
    assert len(trainval.images) == 10
    assert trainval.annotations[0]["image_id"] == 1


def test_galleries_by_camera() -> None:
    prepared = prepare_prw(SOURCES["prw"])
    camera = {image["id"]: image["cam_id"] for image in prepared.splits["test"].images}
    scene = {record["id"]: record["image_id"] for record in prepared.splits["test"].annotations}
    same, cross = (prepared.protocols[name]["queries"] for name in ("same_cam_id", "cross_cam_id"))
    assert isinstance(same, dict)
    assert isinstance(cross, dict)
    for query, gallery in same.items():
        others = cross[query]
        assert {camera[image] for image in gallery} == {camera[scene[int(query)]]}
        assert sorted(gallery + others) == prepared.protocols["test"]["images"]
