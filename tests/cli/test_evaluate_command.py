"""`spnet evaluate`, as a person types it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from spnet.cli.main import main
from spnet.evaluation.runner import DETECTIONS

PLAIN = ["--num-workers", "0"]


@pytest.mark.parametrize("pathway", ["object", "query"])
def test_it_prints_and_writes_the_figures(
    pathway: str, small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(["evaluate", str(small_run), "--pathway", pathway, "--output", str(output), *PLAIN]) == 0
    printed = capsys.readouterr()
    assert "person search, published" in printed.out
    assert printed.out.endswith(f"results: {output}\n")
    figures = json.loads((output / "metrics.json").read_text())["protocols"]["test"]["detected"]
    assert f"mAP = {figures['mAP']:.2%}" in printed.out
    assert printed.err == ""


def test_protocols_windows_and_the_report(small_run: Path, tmp_path: Path) -> None:
    options = ["--protocol", "listed", "--protocol", "test", "--min-size", "80", "--max-size", "120", "--report"]
    assert main(["evaluate", str(small_run), "--output", str(tmp_path / "out"), *options, *PLAIN]) == 0
    assert list(json.loads((tmp_path / "out" / "metrics.json").read_text())["protocols"]) == ["listed", "test"]
    assert "<html" in (tmp_path / "out" / "report.html").read_text()


def test_saved_detections_need_no_network(small_run: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["evaluate", str(small_run), "--output", str(first), *PLAIN]) == 0
    again = ["--detections", str(first / DETECTIONS), "--output", str(second)]
    assert main(["evaluate", str(small_run), *again, *PLAIN]) == 0
    assert figures(first) == figures(second)


def figures(folder: Path) -> Any:
    """What was measured, without when and where."""
    return json.loads((folder / "metrics.json").read_text())["protocols"]


def copy(small_run: Path, folder: Path) -> Path:
    """A run's weights and configuration alone."""
    folder.mkdir()
    for name in ("weights.safetensors", "config.yaml"):
        shutil.copy(small_run / name, folder)
    return folder


MISTAKES = [
    (["RUN", "--split", "val"], "has no split 'val'; it has ['test', 'train']"),
    (["RUN", "--split", "train"], "has no protocol 'train'; it has listed, test"),
    (["RUN", "--protocol", "G100"], "has no protocol 'G100'; it has listed, test"),
    (["RUN", "--data", "nowhere"], "data set 'nowhere' has no split 'test'"),
    (["nowhere"], "weights 'nowhere': no such file"),
    (["nowhere", "--data", "DATA"], "weights 'nowhere': no such file"),
    (["RUN/weights.safetensors"], "is no run that knows its data: name a prepared data set with --data"),
    (["RUN/config.yaml", "--data", "DATA"], "config.yaml': not a safetensors file"),
    (["RUN", "--device", "abacus"], "--device abacus: "),
    (["RUN", "--batch-size", "0"], "--batch-size 0 must be 1 or more"),
    (["RUN", "--min-size", "100", "--max-size", "50"], "min_size, max_size are 100, 50: the first must not be above"),
    (["RUN", "--pathway", "query", "--report"], "--report needs --pathway object"),
    (["RUN", "--pathway", "query", "--detections", "x.npz"], "--detections are of everyone in a scene"),
    (["RUN", "--detections", "none.npz"], "none.npz"),
    (["RUN", "--output", "RUN/config.yaml"], "config.yaml' is a file; choose a folder"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_are_one_line_and_nothing_is_written(
    arguments: list[str],
    message: str,
    small_run: Path,
    small_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = copy(small_run, tmp_path / "run")
    words = [part.replace("RUN", str(run)).replace("DATA", str(small_data)) for part in arguments]
    before = sorted(tmp_path.rglob("*"))
    assert main(["evaluate", *words, *PLAIN]) == 2
    error = capsys.readouterr().err
    assert error.startswith("spnet evaluate: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert sorted(tmp_path.rglob("*")) == before


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])


def shrink(file: Path) -> None:
    Image.open(file).resize((48, 32)).save(file)


IMAGES: list[tuple[Callable[[Path], None], str]] = [
    (Path.unlink, "test2.png: no such image (1 of 6 are missing)"),
    (truncate, "test2.png cannot be read"),
    (shrink, "test2.png is 48 x 32 pixels, its annotations say 96 x 64"),
]


@pytest.mark.parametrize("pathway", ["object", "query"])
@pytest.mark.parametrize(("spoil", "message"), IMAGES)
def test_a_bad_image(
    spoil: Callable[[Path], None],
    message: str,
    pathway: str,
    small_run: Path,
    small_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(small_data.parent, tmp_path / "small")
    spoil(tmp_path / "small" / "images" / "test2.png")
    options = ["--data", str(tmp_path / "small" / "data"), "--pathway", pathway, "--output", str(tmp_path / "out")]
    assert main(["evaluate", str(small_run), *options, *PLAIN]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_that_are_none_of_ours(
    small_run: Path, tmp_path: Path, small_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy(small_run, tmp_path / "run")
    (run / "weights.safetensors").unlink()
    assert main(["evaluate", str(run), *PLAIN]) == 2
    assert "weights.safetensors': the run is not finished" in capsys.readouterr().err
    save_file({"weight": torch.zeros(3)}, run / "weights.safetensors")
    assert main(["evaluate", str(run), *PLAIN]) == 2
    assert "a safetensors file without an spnet configuration inside" in capsys.readouterr().err
