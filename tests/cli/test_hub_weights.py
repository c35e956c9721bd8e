"""`hf:org/name` wherever a command takes weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from footage import render
from hub_server import Hub, serve_hub, use_hub
from small_dataset import options
from spnet.cli.main import main
from spnet.config.io import read_mapping
from spnet.models.checkpoints import load_network

NAME = "hf:org/tiny"


@pytest.fixture
def hub(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the network of `weights`; the folder of the test is the present one."""
    with serve_hub() as server:
        use_hub(server, tmp_path / "cache", monkeypatch)
        load_network(weights).save_pretrained(tmp_path / "saved")
        server.commit("org/tiny", {file.name: file.read_bytes() for file in (tmp_path / "saved").iterdir()})
        monkeypatch.chdir(tmp_path)
        yield server


def test_detect_and_index(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(render(0.5, seed=1)).save(tmp_path / "street.png")
    assert main(["detect", "street.png", "--weights", NAME, "--output", "found"]) == 0
    assert main(["index", "street.png", "--weights", NAME, "--index", "people.index"]) == 0
    assert main(["search", "people.index", "--query", "street.png", "--person", "1", "--json"]) == 0
    hub.models.clear()
    capsys.readouterr()
    assert main(["detect", "street.png", "--weights", "hf:org/none", "--output", "new"]) == 2
    assert capsys.readouterr().err.startswith("spnet detect: error: hf:org/none: there is no such model")
    assert not Path("new").exists()


def test_evaluate(hub: Hub, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", NAME, "--data", str(small_data), "--num-workers", "0"]) == 0
    folder = Path("runs/org--tiny/evaluation") / f"{small_data.name}-test-object"
    assert json.loads((folder / "metrics.json").read_text())["protocols"]
    assert f"results: {folder}" in capsys.readouterr().out
    assert main(["evaluate", NAME]) == 2
    assert "name a prepared data set with --data" in capsys.readouterr().err


def test_train_pins_what_it_starts_from(hub: Hub, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "spnet-tiny", "--data", str(small_data), "--weights", NAME, "--output"]
    small = options(model__location_dim=8, model__reid_dim=8, model__anchor_size=32, optimizer__lr=0.0)
    assert main([*train, "run", *small]) == 0
    commit = hub.branches["org/tiny", "main"]
    assert read_mapping(Path("run/config.yaml"))["weights"]["init_from"] == f"{NAME}@{commit}"
    capsys.readouterr()
    assert main(["runs", ".", "--csv", "runs.csv"]) == 0
    assert f"{NAME}@{commit}" in Path("runs.csv").read_text()
    assert main([*train, "other", *options()]) == 2  # another architecture
    said = capsys.readouterr().err
    assert f"weights '{NAME}@{commit}' do not fit: " in said
    assert said.count("\n") == 1
    assert not Path("other").exists()
