"""Damaged PRW: one line that names the file and the record, exit status 2, nothing left behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import Damage, check_refusal, cut, fill, mat, put, remove, rename, text

FRAME = "annotations/c1s1_000001.jpg.mat"


def rows(values: Any) -> Damage:
    """The boxes of PRW's first frame."""
    return mat(FRAME, put("box_new", np.array(values, np.float64)))


BAD_PRW: dict[str, tuple[Damage, str]] = {
    "frames missing": (remove("frame_train.mat"), r"frame_train\.mat: no such file; .* top folder"),
    "frames truncated": (cut("frame_test.mat"), r"frame_test\.mat: damaged"),
    "frames wrong key": (mat("frame_test.mat", rename("img_index_test", "img")), r"no 'img_index_test', only 'img'"),
    "frames none": (mat("frame_test.mat", put("img_index_test", np.empty((0, 0), object))), r"img_index_test is empty"),
    "frame twice": (
        mat("frame_train.mat", lambda c: c["img_index_train"].__setitem__((1, 0), np.array(["c1s1_000001"]))),
        r"img_index_train 2: c1s1_000001 is listed twice",
    ),
    "frame in both parts": (
        mat("frame_test.mat", lambda c: c["img_index_test"].__setitem__((1, 0), np.array(["c1s1_000001"]))),
        r"frame c1s1_000001 is in frame_train\.mat too",
    ),
    "frame without camera": (
        mat("frame_train.mat", lambda c: c["img_index_train"].__setitem__((1, 0), np.array(["000001"]))),
        r"img_index_train 2: '000001' is not a frame's name",
    ),
    "boxes missing": (remove(FRAME), r"c1s1_000001\.jpg\.mat: no such file; .* annotations"),
    "boxes truncated": (cut(FRAME), r"c1s1_000001\.jpg\.mat: damaged"),
    "boxes wrong key": (
        mat(FRAME, rename("box_new", "boxes")),
        r"c1s1_000001\.jpg\.mat: has no 'box_new' or .*'boxes'",
    ),
    "boxes without id": (rows([[1, 2, 30, 40]]), r"c1s1_000001\.jpg\.mat: boxes are a table of"),
    "box not a number": (rows([[3, 1, np.nan, 30, 40]]), r"row 1: .* not finite"),
    "box negative": (rows([[3, 1, 2, 30, 40], [4, 1, 2, -30, 40]]), r"row 2: .* negative size"),
    "box outside": (rows([[3, 481, 2, 30, 40]]), r"c1s1_000001\.jpg\.mat: row 1: box \[481, .* 480x270"),
    "id negative": (rows([[-1, 1, 2, 30, 40]]), r"row 1: id -1 is not a person's number"),
    "id a fraction": (rows([[1.5, 1, 2, 30, 40]]), r"row 1: id 1\.5 is not a person's number"),
    "three boxes of a person": (rows([[3, 9 * k, 2, 30, 40] for k in range(3)]), r"row 3: a third box of person 3"),
    "image missing": (remove("frames/c1s1_000076.jpg"), r"c1s1_000076\.jpg: no such image"),
    "image broken": (fill("frames/c1s1_000076.jpg", b"\xff\xd8\xff\xe0"), r"c1s1_000076\.jpg: "),
    "queries missing": (remove("query_info.txt"), r"query_info\.txt: no such file"),
    "queries none": (fill("query_info.txt", b"\r\n\r\n"), r"query_info\.txt: it lists no query"),
    "queries not text": (fill("query_info.txt", b"\xff\xfe\x00\x80" * 9), r"query_info\.txt: cannot be read"),
    "line ends lost": (
        lambda root: (root / "query_info.txt").write_text((root / "query_info.txt").read_text().replace("\n", " ")),
        r"query_info\.txt: line 1: 72 columns",
    ),
    "query of five columns": (text("query_info.txt", lambda lines: lines.insert(2, "1 2 3 4 5")), r"line 3: 5 columns"),
    "query of words": (text("query_info.txt", lambda lines: lines.insert(0, "a b c d e f")), r"line 1: 'a b c d e f'"),
    "query not a number": (
        text("query_info.txt", lambda lines: lines.insert(0, "15 nan 2 3 4 c1s1_000251")),
        r"line 1: .*finite",
    ),
    "query in an unknown frame": (
        text("query_info.txt", lambda lines: lines.insert(1, "15 335 42 17 32 c1s9_000251")),
        r"line 2: person 15 in c1s9_000251: no annotation",
    ),
    "query of an unknown person": (
        text("query_info.txt", lambda lines: lines.insert(1, "99 335 42 17 32 c1s1_000251")),
        r"line 2: person 99 in c1s1_000251: no annotation",
    ),
    "query box far off": (
        text("query_info.txt", lambda lines: lines.insert(1, "15 339 42 17 32 c1s1_000251")),
        r"line 2: person 15 .* box \[339, 42, 17, 32\]",
    ),
    "query twice": (text("query_info.txt", lambda lines: lines.append(lines[0])), r"line 13: .* searched for twice"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_PRW.values(), ids=BAD_PRW)
def test_damaged_prw(damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("prw", damage, message, tmp_path, capsys)
