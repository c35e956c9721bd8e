"""The commands and the Python of docs/searching.md run."""

import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from footage import render, write_walk
from marked_blocks import marked_blocks, with_fewer_frames

GUIDE = Path(__file__).parents[2] / "docs" / "searching.md"


def test_marked_commands_run(weights: Path, tmp_path: Path, preloaded: str) -> None:
    block = with_fewer_frames(next(block for block in marked_blocks(GUIDE) if block.language == "bash"))
    printed = replace(block, code=block.code.replace("WEIGHTS", str(weights))).run(tmp_path, preloaded)
    assert "choose one of these" not in printed
    assert re.search(r"deleted \d+ tracklets", printed)
    assert (tmp_path / "hits.html").is_file()
    assert (tmp_path / "detected" / "detections.csv").is_file()


def test_marked_python_runs(weights: Path, tmp_path: Path, preloaded: str) -> None:
    blocks = [block for block in marked_blocks(GUIDE) if block.language == "python"]
    for folder in ("videos", "stills"):
        (tmp_path / folder).mkdir()
    write_walk(tmp_path / "videos" / "gate.mp4")
    for file in ("stills/0.jpg", "query.jpg"):
        Image.fromarray(render(1.0)).save(tmp_path / file)
    code = "".join(block.code for block in blocks).replace("runs/mine", str(weights))
    code = code.replace("[120, 80, 180, 260]", "[12, 12, 28, 56]")
    replace(blocks[0], code=code).run(tmp_path, preloaded)
