"""The demo from end to end at miniature size, and how it goes on."""

import json
import logging
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reproducing import run_jobs_here
from spnet import __version__
from spnet.cli.main import main
from spnet.config.presets import get_preset
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.paper import demo as demo_module
from spnet.paper import demo_video, reproduce
from spnet.paper.demo import RECORDS, Demo, Inputs
from spnet.paper.process_pool import Job
from spnet.runs.index import RunIndex
from spnet.synthetic import check_counts

INPUTS = ("data", "classifier", "walk", "index")
COUNTS = ["--scenes", "12", "--identities", "4", "--test-scenes", "6", "--test-identities", "4"]
OPTIONS = [*COUNTS, "--epochs-scale", "0.01"]


@pytest.fixture(scope="module")
def finished(preloaded: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo in processes of its own; not to be changed."""
    output = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", preloaded)
        patch.setattr(demo_video, "FPS", 0.5)  # a network that has learned nothing finds hundreds of people a frame
        assert main(["demo", "--output", str(output), *OPTIONS]) == 0
    return output


def runs_of(output: Path) -> dict[str, tuple[Path, RunConfig]]:
    """Folder and configuration by what the run is."""
    runs = {}
    for run in RunIndex(output).runs:
        assert run.config is not None
        tuned = "pretrained" if run.config.weights.init_from else "from_scratch"
        runs["pretrain" if run.config.stage == "pretrain" else tuned] = (run.folder, run.config)
    return runs


def refuse(*arguments: Any, **options: Any) -> None:
    raise AssertionError("this was done before")


def test_metrics_hold_both_networks_and_the_time_of_each_phase(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    for network in ("pretrained", "from_scratch"):
        assert set(metrics[network]) == {"mAP", "top1", "gt_mAP", "ap", "recall"}
        assert all(0 <= value <= 1 for value in metrics[network].values())
    seconds = metrics["seconds"]
    assert set(seconds) == {*INPUTS, "pretrain", "finetune", "evaluate", "report", "total"}
    assert all(value > 0 for value in seconds.values())
    assert seconds["total"] == pytest.approx(sum(seconds.values()) - seconds["total"], abs=0.1)
    assert metrics["seed"] == 0
    assert metrics["settings"]["epochs_scale"] == 0.01
    assert metrics["versions"]["torch"]
    assert metrics["video"]["people"] == 2
    assert 0 <= metrics["video"]["found"] <= 2


def test_metrics_are_those_of_the_evaluations(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    for network in ("pretrained", "from_scratch"):
        folder = runs_of(finished)[network][0] / "evaluation" / "synthetic-test-object"
        measured = json.loads((folder / "metrics.json").read_text())["protocols"]["test"]
        assert metrics[network]["mAP"] == measured["detected"]["mAP"]
        assert metrics[network]["gt_mAP"] == measured["ground_truth"]["mAP"]
        assert metrics[network]["recall"] == measured["detection"]["recall@0.5"]


def test_runs_differ_in_pre_training_alone(finished: Path) -> None:
    runs = runs_of(finished)
    pretrain, tuned, scratch = (runs[name][1] for name in ("pretrain", "pretrained", "from_scratch"))
    assert (pretrain.objective.pathway, pretrain.data.train_split) == ("query", "pretrain")
    assert pretrain.data.unique_id_per_box
    assert tuned.weights.init_from == str(runs["pretrain"][0])
    assert scratch.weights.init_from is None
    assert replace(tuned, weights=scratch.weights) == scratch
    usual = get_preset("spnet-tiny", "finetune")
    assert replace(scratch, model=usual.model, data=usual.data, optimizer=usual.optimizer) == usual
    assert replace(scratch.optimizer, epochs=usual.optimizer.epochs) == usual.optimizer
    assert {run.model.backbone.weights for run in (pretrain, tuned, scratch)} == {
        str(finished / "classifier.safetensors")
    }
    assert scratch.data.train_split == "train"


def test_report_is_one_file_with_images(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 10
    assert "http" not in page.replace("http://www.w3.org/", "")
    assert (finished / "search.html").read_text().count("data:image/jpeg;base64,") >= 2


def test_without_the_packages_for_video_the_rest_is_made(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_video, "PACKAGES", ("missing_package",))
    before = (finished / "metrics.json").read_bytes()
    assert main(["demo", "--output", str(finished), *OPTIONS]) == 0
    printed = "".join(capsys.readouterr())
    assert "no search in video: missing_package is not installed: pip install missing_package" in printed
    assert "search:" not in printed
    assert json.loads((finished / "metrics.json").read_text())["video"] == {}
    (finished / "metrics.json").write_bytes(before)


def test_a_second_run_trains_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((finished / "metrics.json").read_text())

    def run_jobs(jobs: Iterable[Job], at_once: int, logs: Path) -> dict[str, str]:
        assert list(jobs) == []
        return {}

    monkeypatch.setattr(reproduce, "run_jobs", run_jobs)
    for name in ("prepare_synthetic", "train_classifier", "prepare_walk"):
        monkeypatch.setattr(demo_module, name, refuse)
    assert main(["demo", "--output", str(finished), *OPTIONS]) == 0
    printed = "".join(capsys.readouterr())
    assert printed.count("done before") == len(INPUTS)
    assert printed.count("  finished     seed 0") == 4  # the pre-training stands in both plans
    assert str(finished / "metrics.json") in printed
    after = json.loads((finished / "metrics.json").read_text())
    for key in ("pretrained", "from_scratch"):
        assert after[key] == before[key]
    assert after["seconds"] | {"report": 0, "total": 0} == before["seconds"] | {"report": 0, "total": 0}


def test_how_the_runs_share_the_cores(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pre-training has all of them; then both fine-tunings are made side by side. What fails ends it by name."""
    calls: list[tuple[int, list[str]]] = []

    def run_jobs(jobs: Iterable[Job], at_once: int, logs: Path) -> dict[str, str]:
        calls.append((at_once, [job.name.partition("-")[0] for job in jobs]))
        return run_jobs_here(jobs, at_once, logs) if at_once == 1 else {"finetune": "not today"}

    monkeypatch.setattr(reproduce, "run_jobs", run_jobs)
    (tmp_path / "out").mkdir()
    for name in (RECORDS, "classifier.safetensors"):
        shutil.copy(finished / name, tmp_path / "out")
    shutil.copytree(finished / "data", tmp_path / "out" / "data")
    assert main(["demo", "--output", str(tmp_path / "out"), *OPTIONS]) == 2
    assert calls == [(1, ["pretrain"]), (2, ["finetune"] * 4)]
    assert capsys.readouterr().err.endswith("spnet demo: error: finetune: not today\n")


def test_an_interruption_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_module, "prepare_synthetic", interrupt)
    assert main(["demo", "--output", str(tmp_path / "out")]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize("scale", ["0", "-1", "nan"])
def test_a_share_of_no_epochs_is_refused(tmp_path: Path, scale: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--output", str(tmp_path / "out"), "--epochs-scale", scale]) == 2
    assert "--epochs-scale" in capsys.readouterr().err
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
    run, _ = runs_of(finished)["pretrained"]
    command = ["evaluate", str(run), "--num-workers", "0", "--output", str(tmp_path)]
    detections = ["--detections", str(run / "evaluation" / "synthetic-test-object" / "detections.npz")]
    assert main([*command, *detections]) == 0
    assert not (tmp_path / "report.html").exists()
    assert main([*command, *detections, "--report"]) == 0
    assert f"Person search: {run.name}" in (tmp_path / "report.html").read_text()


def test_there_is_no_page_of_the_query_path(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(runs_of(finished)["pretrained"][0]), "--report", "--pathway", "query"]) == 2
    assert "--report needs --pathway object" in capsys.readouterr().err


def test_a_data_set_that_is_gone_is_named(tmp_path: Path) -> None:
    """Its folder is there, what was in it is not."""
    demo = Demo(tmp_path, 12, 4, 6, 4, 0, 0.01)
    (tmp_path / "data" / "synthetic").mkdir(parents=True)
    (tmp_path / "classifier.safetensors").touch()
    settings = {"data": {**demo.counts, "spnet": __version__}, "classifier": {"seed": 0, "images": 40}}
    records = {name: {"settings": made, "seconds": 1.0} for name, made in settings.items()}
    (tmp_path / RECORDS).write_text(json.dumps(records))
    with pytest.raises(UserError, match="no data set prepared by `spnet prepare` is there"):
        demo_module.run_demo(demo)


class Work:
    """Counts its calls and makes a file, unless it is interrupted."""

    def __init__(self, file: Path) -> None:
        self.file, self.calls, self.interrupted = file, 0, False

    def __call__(self) -> None:
        self.calls += 1
        if self.interrupted:
            self.interrupted = False
            raise KeyboardInterrupt
        self.file.write_text(str(self.calls))

    def make(self, value: int = 1) -> Inputs:
        inputs = Inputs(self.file.parent)
        inputs.make("thing", self.file, {"value": value}, self)
        return inputs


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "out" / "thing")


def test_an_input_is_made_once_and_anew_if_its_settings_change_or_it_is_gone(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "spnet")
    before = work.make().seconds
    assert work.make().seconds == before
    assert "thing: done before, in 0 s" in caplog.messages
    work.make(2)
    assert (work.calls, work.file.read_text()) == (2, "2")
    assert "thing: anew, its settings changed" in caplog.messages
    work.file.unlink()
    work.make(2)
    assert work.calls == 3


def test_seconds_of_interrupted_attempts_are_kept(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 20.0, 25.0])
    monkeypatch.setattr("spnet.paper.demo.time.monotonic", lambda: next(clock))
    work.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        work.make()
    assert work.make().seconds == {"thing": 9.0}


@pytest.mark.parametrize("content", ["", "[1]", '{"data": 1}', '{"data": {"settings": {}}}', "\xff"])
def test_damaged_records_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / RECORDS).write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match="damaged"):
        Inputs(tmp_path)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Demo(Path("runs/demo"), 900, 150, 150, 50, 0, 1.0)),
        (["--quick"], Demo(Path("runs/demo-quick"), 180, 30, 40, 12, 0, 0.2)),
        (["--quick", "--seed", "3", "--scenes", "90"], Demo(Path("runs/demo-quick"), 90, 30, 40, 12, 3, 0.2)),
    ],
)
def test_quick_is_smaller_in_a_folder_of_its_own(
    options: list[str], expected: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given stays as it is given."""
    done: list[Demo] = []

    def run_demo(demo: Demo) -> None:
        check_counts(**demo.counts)
        done.append(demo)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_module, "run_demo", run_demo)
    assert main(["demo", *options]) == 130
    assert done == [expected]
