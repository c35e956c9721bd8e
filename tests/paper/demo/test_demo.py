"""The demo from end to end at miniature size, and how it goes on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spnet.cli.main import main
from spnet.config.presets import get_preset
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.models.checkpoints import WEIGHTS_NAME
from spnet.paper.demo import demo as demo_module
from spnet.paper.demo import networks
from spnet.paper.demo.demo import run_demo
from spnet.paper.demo.options import Demo
from spnet.runs.folder import LAST, read_run_config

PHASES = ("data", "classifier", "pretrain", "finetune", "evaluate")
RUNS = ("pretrain", "finetune/pretrained", "finetune/from_scratch")
COUNTS = ["--scenes", "12", "--identities", "4", "--test-scenes", "6", "--test-identities", "4"]
OPTIONS = [*COUNTS, "--epochs-scale", "0.01"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("demo") / "demo"
    assert main(["demo", "--output", str(output), *OPTIONS]) == 0
    return output


def refuse(*arguments: Any, **options: Any) -> None:
    raise AssertionError("this was done before")


def test_metrics_hold_both_networks_and_the_time_of_each_phase(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    for network in ("pretrained", "from_scratch"):
        assert set(metrics[network]) == {"mAP", "top1", "gt_mAP", "ap", "recall"}
        assert all(0 <= value <= 1 for value in metrics[network].values())
    seconds = metrics["seconds"]
    assert set(seconds) == {*PHASES, "report", "total"}
    assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"], abs=0.1)
    assert metrics["seed"] == 0
    assert metrics["versions"]["torch"]


def test_metrics_are_those_of_the_evaluations(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    for network in ("pretrained", "from_scratch"):
        measured = json.loads((finished / "evaluate" / network / "metrics.json").read_text())["protocols"]["test"]
        assert metrics[network]["mAP"] == measured["detected"]["mAP"]
        assert metrics[network]["gt_mAP"] == measured["ground_truth"]["mAP"]
        assert metrics[network]["recall"] == measured["detection"]["recall@0.5"]


def test_runs_differ_in_pre_training_alone(finished: Path) -> None:
    pretrain, tuned, scratch = (read_run_config(finished / run) for run in RUNS)
    assert (pretrain.objective.pathway, pretrain.data.train_split) == ("query", "pretrain")
    assert pretrain.data.unique_id_per_box
    assert tuned.weights.init_from == str(finished / "pretrain")
    assert scratch.weights.init_from is None
    assert replace(tuned, weights=scratch.weights) == scratch
    usual = get_preset("spnet-tiny", "finetune")
    assert replace(scratch, model=usual.model, data=usual.data, optimizer=usual.optimizer) == usual
    classifier = str(finished / "classifier" / "classifier.safetensors")
    assert {run.model.backbone.weights for run in (pretrain, tuned, scratch)} == {classifier}
    assert scratch.data.train_split == "train"


def test_report_is_one_file_with_images(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 10
    assert "http" not in page.replace("http://www.w3.org/", "")


def test_a_second_run_trains_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((finished / "metrics.json").read_text())
    monkeypatch.setattr(demo_module, "prepare_synthetic", refuse)
    for name in ("fit", "evaluate_weights", "train_classifier"):
        monkeypatch.setattr(networks, name, refuse)
    assert main(["demo", "--output", str(finished), *OPTIONS]) == 0
    printed = capsys.readouterr().out
    assert printed.count("done before") == len(PHASES)
    assert str(finished / "metrics.json") in printed
    after = json.loads((finished / "metrics.json").read_text())
    assert after["pretrained"] == before["pretrained"]
    assert after["seconds"]["pretrain"] == before["seconds"]["pretrain"]


@pytest.mark.parametrize(
    ("there", "resumes"), [([], False), (["logs/x"], False), ([str(LAST)], True), ([str(LAST), WEIGHTS_NAME], None)]
)
def test_training_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: list[str], resumes: bool | None
) -> None:
    run = tmp_path / "run"
    for name in there:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    calls = []
    monkeypatch.setattr(networks, "fit", lambda config, folder, resume: calls.append((resume, folder.exists())))
    networks.train(RunConfig(), run)
    assert calls == ([] if resumes is None else [(resumes, resumes)])


def test_an_interruption_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_module, "prepare_synthetic", interrupt)
    assert main(["demo", "--output", str(tmp_path / "out")]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_share_of_no_epochs_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(UserError, match="--epochs-scale"):
        run_demo(Demo(tmp_path / "out", epochs_scale=scale))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scenes", "11"], "--scenes 11: at least 12 are needed"),
        (["--test-identities", "9"], "--test-identities 9: with --test-scenes 6 it can be 4 to 5"),
        (["--seed", "-1"], "--seed -1: it must be 0 or more"),
        (["--seed", str(2**32)], "seed is 4294967296: should be less than or equal to 4294967295"),
        (["--epochs-scale", "inf"], "--epochs-scale inf must be a number above 0"),
    ],
)
def test_a_mistake_loses_nothing(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    before = sorted(finished.rglob("*"))
    for output in (finished, tmp_path / "new"):
        assert main(["demo", "--output", str(output), *OPTIONS, *options]) == 2
        assert message in capsys.readouterr().err
    assert sorted(finished.rglob("*")) == before
    assert not (tmp_path / "new").exists()


def test_a_folder_of_something_else_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").touch()
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_evaluation_writes_a_page_when_asked(finished: Path, tmp_path: Path) -> None:
    command = ["evaluate", str(finished / "finetune" / "pretrained"), "--num-workers", "0", "--output", str(tmp_path)]
    detections = ["--detections", str(finished / "evaluate" / "pretrained" / "detections.npz")]
    assert main([*command, *detections]) == 0
    assert not (tmp_path / "report.html").exists()
    assert main([*command, *detections, "--report"]) == 0
    assert "Person search: pretrained" in (tmp_path / "report.html").read_text()


def test_there_is_no_page_of_the_query_path(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(finished / "finetune" / "pretrained"), "--report", "--pathway", "query"]) == 2
    assert "--report needs --pathway object" in capsys.readouterr().err
