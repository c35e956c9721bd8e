"""`spnet push`: what a model card says of a run, what is written, what is uploaded, and mistakes."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from hub_server import Hub, serve_hub, use_hub
from invented_runs import evaluate, interrupt, make_run, set_record
from miniature import make_network
from spnet.cli.main import main
from spnet.models.checkpoints import load_network, save_weights
from spnet.publish import push_run, write_model_folder

RECORD = {
    "state": "finished",
    "seconds": 5400.0,
    "steps": 12000,
    "hardware": "CPU, 2 cores",
    "date": "2026-11-26 10:00",
    "versions": {"spnet": "0.1.0", "torch": "2.14.1"},
}


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with metrics of two evaluators, after a pre-training of which less is known."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "pretrained", "pretrain")
    made = make_run(folder / "street", root=str(small_data), init_from=str(folder / "pretrained"), seed="7")
    set_record(made, **RECORD)
    evaluate(made, mAP=0.637)
    evaluate(made, "street-val-object", "old", mAP=0.25, version=0)
    save_weights(made / "weights.safetensors", make_network(), "object")
    return made


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve_hub() as server:
        use_hub(server, tmp_path / "cache", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", "hf_token")
        yield server


def test_the_card_is_written_from_the_run(run: Path, tmp_path: Path) -> None:
    write_model_folder(run, tmp_path, "me/street", "cc-by-nc-4.0")
    text = (tmp_path / "README.md").read_text()
    for line in (
        "# me/street",
        "* `pretrained` was trained on `prw`, split `train`.",
        "* `street` was trained on `data`, split `train`: 12 images, 24 boxes, 4 identities.",
        "| prw-test-object | test | 63.7 | 70.0 | 100.0 | 100.0 | 60.0 | 80.0 | 90.0 | version 1 |",
        "| street-val-object | old | 25.0 | 70.0 | 100.0 | 100.0 | 60.0 | 80.0 | 90.0 | version 0 |",
        "`street`, CPU, 2 cores, 1.50 hours, 12,000 steps, 2026-11-26 10:00 UTC (spnet 0.1.0, torch 2.14.1):",
        "spnet train spnet-s --stage finetune --pathway object --data data --weights pretrained --seed 7",
        "Licence of the weights: cc-by-nc-4.0.",
        "## Intended use",
        "## Misuse",
    ):
        assert f"\n{line}" in text, text
    assert str(run.parent) not in text
    about: Any = ModelCard(text).data
    assert (about.license, about.library_name) == ("cc-by-nc-4.0", "spnet")
    first = about.eval_results[0]
    assert (first.dataset_name, first.metric_type, first.metric_value) == ("prw-test-object", "mAP", 63.7)


def test_the_weights_are_the_runs_own(run: Path, tmp_path: Path) -> None:
    write_model_folder(run, tmp_path, "me/street")
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert weights == (run / "weights.safetensors").read_bytes()  # an index made with the run takes them
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["sha256"] == hashlib.sha256(weights).hexdigest()
    assert config["model"]["reid_dim"] == 8
    assert "license: unknown" in (tmp_path / "README.md").read_text()


def test_weights_without_a_run_are_published_with_a_bare_card(weights: Path, tmp_path: Path) -> None:
    write_model_folder(weights, tmp_path, "me/street")
    text = (tmp_path / "README.md").read_text()
    assert "The training data are not noted." in text
    assert "Not measured." in text


def test_push(hub: Hub, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(run), "me/street", "--dry-run", str(tmp_path / "card")]) == 0
    assert capsys.readouterr().out == f"nothing is uploaded; what would be is in {tmp_path / 'card'}\n"
    assert hub.requests == []
    assert main(["push", str(run), "me/street"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"uploaded: http\S+/me/street/commit/\w+\n.*--weights hf:me/street\n", said)
    uploaded = hub.models["me/street"][hub.branches["me/street", "main"]]
    assert uploaded == {file.name: file.read_bytes() for file in (tmp_path / "card").iterdir()}
    assert load_network("hf:me/street").config.reid_dim == 8
    push_run(run, "me/street", revision="trial")
    assert ("me/street", "trial") in hub.branches


def test_mistakes_are_one_line(
    hub: Hub, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished = interrupt(make_run(tmp_path / "unfinished"))
    damaged = make_run(tmp_path / "damaged")
    save_weights(damaged / "weights.safetensors", make_network(), "object")
    evaluate(damaged).write_text("{")
    monkeypatch.delenv("HF_TOKEN")
    for arguments, message in (
        ([str(run), "street"], "a model of the hub is named hf:org/name"),
        ([str(run), "me/street@v1"], "a model's name has no revision; --revision names the branch"),
        ([str(run), "me/street", "--dry-run", str(run)], r"--dry-run \S+: already exists"),
        ([str(unfinished), "me/street"], "the run is not finished"),
        ([str(damaged), "me/street", "--dry-run", str(tmp_path / "new")], r"metrics\.json is damaged"),
        (["none", "me/street"], "weights 'none': no such file"),
        ([str(run), "me/street"], "hf:me/street: refused by http.*401"),
    ):
        assert main(["push", *arguments]) == 2, arguments
        said = capsys.readouterr()
        assert re.search(message, said.err), said.err
        assert said.err.count("\n") == 1
    assert hub.models == {}
    assert not (tmp_path / "new").exists()
