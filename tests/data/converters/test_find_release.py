"""Releases are found a level off, under their other names, and what is no release is refused."""

from pathlib import Path

import pytest
from damage import refused
from releases import copy_release

from spnet.cli.main import main
from spnet.data.converters.find_release import find_root
from spnet.errors import UserError

LAYOUTS = ["PRW-v16.04.20", "prw/PRW-v16.04.20", "a/b"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_release_is_found_from_above_inside_and_below(layout: str, tmp_path: Path) -> None:
    root = copy_release("prw", tmp_path / layout)
    for source in (tmp_path, root, root / "frames", root / "annotations"):
        assert find_root(source, ["frame_train.mat"], "PRW") == root


def test_the_nearest_release_wins(tmp_path: Path) -> None:
    outer = copy_release("prw", tmp_path / "data")
    copy_release("prw", tmp_path / "data" / "frames" / "old")
    assert find_root(tmp_path / "data", ["frame_train.mat"], "PRW") == outer


def make_release(root: Path) -> Path:
    root.mkdir(parents=True)
    (root / "mark.mat").touch()
    return root


def test_the_search_goes_two_levels_down_and_two_up(tmp_path: Path) -> None:
    down = tmp_path / "down"
    root = make_release(down / "1" / "2")
    assert find_root(down, ["mark.mat"], "X") == root
    up = make_release(tmp_path / "up")
    (up / "1" / "2" / "3").mkdir(parents=True)
    assert find_root(up / "1" / "2", ["mark.mat"], "X") == up


def test_the_search_goes_no_further(tmp_path: Path) -> None:
    down, up = tmp_path / "down" / "0" / "0", make_release(tmp_path / "up")
    make_release(down / "1" / "2" / "3")
    (up / "1" / "2" / "3").mkdir(parents=True)
    for source in (down, up / "1" / "2" / "3"):
        with pytest.raises(UserError, match="no X here"):
            find_root(source, ["mark.mat"], "X")


@pytest.mark.parametrize("source", ["cuhk-sysu", "prw", "cocopersons"])
def test_no_release_there(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(source, tmp_path / "nowhere", tmp_path / "made" / "out", "--source .*nowhere: no such folder", capsys)
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    refused(source, tmp_path / "deep" / "empty", tmp_path / "made" / "out", "--source .*looked for", capsys)


def test_two_releases_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        copy_release("prw", tmp_path / "data" / name)
    refused("prw", tmp_path / "data", tmp_path / "made" / "out", "holds PRW twice", capsys)


def test_output_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "thesis.txt").write_text("mine")
    assert main(["prepare", "prw", "--source", str(copy_release("prw", tmp_path / "r")), "--output", str(output)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert (output / "thesis.txt").read_text() == "mine"
