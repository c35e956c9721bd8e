"""The commands and the Python of docs/searching.md run."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from footage import render
from marked_blocks import marked_blocks, with_fewer_frames

GUIDE = Path(__file__).parents[2] / "docs" / "searching.md"


@pytest.fixture(scope="module")
def followed(weights: Path, preloaded: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder where all blocks of the guide were run, and what those of each language printed.

    The network is one that finds somebody everywhere.
    """
    folder, printed = tmp_path_factory.mktemp("guide"), {"bash": "", "python": ""}
    still = folder / "data" / "street" / "images" / "test" / "0.jpg"
    still.parent.mkdir(parents=True)
    Image.fromarray(render(1.0)).save(still)
    for block in map(with_fewer_frames, marked_blocks(GUIDE)):
        block = replace(block, code=block.code.replace("runs/street", str(weights)))
        printed[block.language] += block.run(folder, preloaded)
    return folder, printed


def test_marked_commands_run(followed: tuple[Path, dict[str, str]]) -> None:
    folder, printed = followed
    assert "choose one of these" not in printed["bash"]
    assert re.search(r"deleted \d+ tracklets", printed["bash"])
    assert (folder / "hits.html").is_file()
    assert (folder / "detected" / "detections.csv").is_file()


def test_marked_python_runs(followed: tuple[Path, dict[str, str]]) -> None:
    folder, printed = followed
    assert (folder / "mine.index").is_dir()
    assert "gate.mp4" in printed["python"]
