"""Damaged MOTChallenge sequences: one line that names the file and the record, exit status 2, nothing left behind."""

from pathlib import Path

import pytest
from damage import Damage, check_refusal, fill, remove, text

BAD_MOT: dict[str, tuple[Damage, str]] = {
    "truth missing": (remove("gt/gt.txt"), r"gt/gt\.txt: no such file"),
    "truth not text": (fill("gt/gt.txt", b"\xff\xfe\x80"), r"gt\.txt: cannot be read"),
    "row of five columns": (text("gt/gt.txt", lambda lines: lines.insert(1, "1,2,3,4,5")), r"line 2: 5 columns"),
    "row of words": (text("gt/gt.txt", lambda lines: lines.insert(0, "f,t,x,y,w,h,c,k,v")), r"line 1: 'f,t,x"),
    "row not a number": (
        text("gt/gt.txt", lambda lines: lines.insert(0, "1,9,nan,5,8,20,1,1,1")),
        r"line 1: .* not finite",
    ),
    "row without size": (text("gt/gt.txt", lambda lines: lines.insert(0, "1,9,5,5,0,20,1,1,1")), r"line 1: .* no size"),
    "row of a detection": (
        text("gt/gt.txt", lambda lines: lines.insert(0, "1,-1,5,5,8,20,1,1,1")),
        r"line 1: .*track -1",
    ),
    "row without frame": (
        text("gt/gt.txt", lambda lines: lines.append("10,1,5,5,8,20,1,1,1")),
        r"line 28: frame 10 has no",
    ),
    "track twice": (
        text("gt/gt.txt", lambda lines: lines.append("9,1,5,5,8,20,1,1,1")),
        r"line 28: track 1 is in frame 9 twice",
    ),
    "nobody": (fill("gt/gt.txt", b""), r"the train part would have no person"),
    "frame missing": (remove("img1/000004.jpg"), r"8 images, but seqinfo\.ini says seqLength=9"),
    "frame unnumbered": (fill("img1/cover.jpg", b""), r"cover\.jpg: a frame's image is named by its number"),
    "frame twice": (fill("img1/4.png", b""), r": frame 4 has another image too"),
    "frame broken": (fill("img1/000004.jpg", b"\xff\xd8"), r"000004\.jpg: "),
    "frame of another size": (
        text("seqinfo.ini", lambda lines: lines.__setitem__(5, "imWidth=99")),
        r"64x48 .* says 99x48",
    ),
    "info broken": (fill("seqinfo.ini", b"no section\n"), r"seqinfo\.ini: "),
    "images elsewhere": (lambda root: (root / "img1").rename(root / "images"), r"img1: no such folder"),
}


@pytest.mark.parametrize(("damage", "message"), BAD_MOT.values(), ids=BAD_MOT)
def test_damaged_mot(damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_refusal("mot", damage, message, tmp_path, capsys)
