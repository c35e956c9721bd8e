"""`spnet index`, `search`, `detect`, `calibrate` and `delete` as people type them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from footage import render, write_walk
from spnet.cli.main import main
from spnet.files import atomic_directory


@pytest.fixture(scope="module")
def index(weights: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexes") / "people.index"
    assert main(["index", str(video), "--weights", str(weights), "--index", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("stills") / "street.png"
    Image.fromarray(render(0.5, seed=1)).save(file)
    return file


def test_index(weights: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    command = [
        "index",
        str(video),
        str(tmp_path / "broken.mp4"),
        "--weights",
        str(weights),
        "--index",
        str(tmp_path / "i"),
    ]
    assert main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert re.match(r"not indexed: video .*broken\.mp4 cannot be read: ", said[0])
    assert said[1] == "indexed 1 files, 20 images"
    assert re.match(r"index .*: \d+ tracklets, \d+ detections, 1 cameras", said[2])
    assert main(command) == 0
    assert "indexed 0 files, 0 images, 1 were there already" in capsys.readouterr().out


def test_people_are_numbered(index: Path, still: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(index), "--query", str(still)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{still}: choose one of these by --person N"
    assert re.match(r"  1: box \d+ \d+ \d+ \d+, score \d\.\d\d", said[1])


def test_search_in_all_its_forms(index: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", str(index), "--query", str(still), "--person", "1"]
    assert main([*command, "--report", str(tmp_path / "hits.html"), "--clips", str(tmp_path / "clips"), "--blur"]) == 0
    said = capsys.readouterr().out
    assert "uncalibrated" in said
    assert "gate" in said
    assert (tmp_path / "hits.html").is_file()
    assert list((tmp_path / "clips").glob("*.mp4"))
    assert main([*command, "--json", "--top", "3"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert len(hits) <= 3
    assert hits[0]["probability"] is None
    marked = [*command, "--json", "--right", hits[-1]["id"], "--wrong", hits[0]["id"]]
    assert main(marked) == 0
    again = {hit["id"]: hit["similarity"] for hit in json.loads(capsys.readouterr().out)}
    assert again[hits[-1]["id"]] > hits[-1]["similarity"]
    assert main([*command, "--pathway", "query", "--camera", "gate", "--from", "0:01", "--to", "2", "--json"]) == 0
    assert all(hit["first"] <= 2 and hit["last"] >= 1 for hit in json.loads(capsys.readouterr().out))
    boxed = ["search", str(index), "--query", str(still), "--box", "8", "12", "24", "56"]
    assert main([*boxed, "--query", str(still), "--box", "70", "12", "86", "56", "--json"]) == 0


def test_mistakes_are_one_line(
    index: Path, still: Path, other_weights: Path, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = ["search", str(index), "--query", str(still)]
    for command, message in (
        (["search", str(tmp_path), "--query", "x"], "there is no index; make one with `spnet index`"),
        ([*search, "--person", "9"], r"--person 9: .*street\.png has people 1 to \d"),
        ([*search, "--box", "300", "0", "400", "50"], "box 300 0 400 50: lies outside the image of 96 x 64 pixels"),
        ([*search, "--person", "1", "--camera", "roof"], "--camera roof: the index has gate"),
        ([*search, "--person", "1", "--from", "noon"], "--from noon: no time"),
        ([*search, "--person", "1", "--min-probability", "0.5"], "the network is not calibrated"),
        ([*search, "--person", "1", "--person", "2"], "1 --query but 2 --box and --person"),
        ([*search, "--person", "1", "--blur"], "--blur: belongs to --clips"),
        ([*search, "--person", "1", "--top", "0"], "--top 0: must be 1 or more"),
        ([*search, "--person", "1", "--right", "nobody"], "tracklet nobody: there is none"),
        (["search", str(index), "--query", str(video)], "which frame of the video"),
        (["search", str(index), "--query", "none.jpg"], r"none\.jpg cannot be read"),
        (["index", str(still), "--index", str(index), "--weights", str(other_weights)], "made with the network"),
        (["index", str(still), "--index", str(tmp_path / "new")], "a new index needs weights"),
        (["index", str(still), "--index", str(index), "--fps", "0"], "--fps 0: must be above 0"),
        (["index", str(still), "--index", str(index), "--start", "noon"], "--start noon: no time"),
        (["index", str(still), "--index", str(index), "--batch-size", "0"], "--batch-size 0: must be 1"),
        (["delete", str(index)], "what is to be deleted"),
        (["delete", str(index), "--video", "none.mp4"], r"none\.mp4: not in the index"),
        (["detect", str(still), "--weights", str(other_weights), "--output", str(index)], "already exists"),
    ):
        assert main(command) == 2, command
        said = capsys.readouterr()
        assert re.search(message, said.err), said.err
        assert said.err.count("\n") == 1
        assert said.out == ""
    assert not (tmp_path / "new").exists()


def test_delete(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_walk(tmp_path / "a.mp4", 1)
    folder = str(tmp_path / "index")
    assert main(["index", str(file), "--weights", str(weights), "--index", folder]) == 0
    capsys.readouterr()
    code = (
        "import sys; from spnet.cli.main import main; main(sys.argv[1:]); print({'torch', 'timm'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, "delete", folder, "--video", str(file)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"deleted \d+ tracklets with their detections from .*\nset\(\)\n", said)  # no network is loaded
    assert main(["index", str(file), "--index", folder]) == 0
    assert "indexed 1 files, 5 images" in capsys.readouterr().out


def test_detect(weights: Path, video: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert main(["detect", str(video), str(still), "--weights", str(weights), "--output", str(output)]) == 0
    assert re.search(r"\d+ people in 21 images", capsys.readouterr().out)
    assert {file.name for file in output.iterdir()} == {"detections.csv", "0000_gate.mp4", "0001_street.jpg"}


def test_calibrate(small_run: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with atomic_directory(tmp_path / "run") as run:
        (run / "weights.safetensors").write_bytes((small_run / "weights.safetensors").read_bytes())
    assert main(["calibrate", str(tmp_path / "run"), "--data", str(small_data), "--split", "test"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"pairs of data/test, \d+\.\d% of them one person", said)
    assert (tmp_path / "run" / "weights.calibration.json").is_file()
    assert main(["calibrate", str(tmp_path / "run"), "--data", str(small_data), "--split", "none"]) == 2
