"""`spnet reproduce` as a person types it: a table from nothing, nothing done twice, and what is missing said."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from fake_runs import diverge, interrupt_step
from miniature_scale import miniature_scale
from reproducing import command, forbid_training
from spnet.cli.main import main
from spnet.evaluation import runner
from spnet.evaluation.metrics_file import EVALUATOR_VERSION
from spnet.paper import reproduce
from spnet.paper.datasets import synthetic_sources
from spnet.paper.figures import PAPER_TABLES
from spnet.paper.plan import make_plan
from spnet.paper.process_pool import Job, run_jobs
from spnet.paper.results.outcomes import read_outcome
from spnet.runs.record import RECORD_NAME

pytestmark = pytest.mark.usefixtures("small_scale_is_miniature")

ROWS = ["OC-FT", "OC-FT+PT", "QC-FT", "QC-FT+PT"]


def test_a_table_from_nothing(made: Path) -> None:
    assert {file.name for file in (made / "results").iterdir()} == {"table8.md", "table8.tex", "table8.json"}
    outcome = read_outcome(made / "results" / "table8.json")
    assert [row.name for row in outcome.rows] == ROWS
    for row in outcome.rows:
        assert row.problems == ()
        (metrics,) = row.own.values()
        assert set(metrics) == {"mAP", "top-1"}
        assert all(len(values) == 2 and all(0 <= value <= 100 for value in values) for values in metrics.values())
    assert outcome.rows[0].paper == {"CUHK-SYSU": {"mAP": 91.9, "top-1": 93.2}, "PRW": {"mAP": 52.7, "top-1": 86.6}}
    assert outcome.facts["seeds"] == "0, 1"
    assert outcome.facts["training"].startswith("10 runs, ")
    text = (made / "results" / "table8.md").read_text()
    assert "±" in text
    assert "Gain from PT, QC-FT" in text
    records = [json.loads(file.read_text()) for file in (made / "runs").rglob(RECORD_NAME)]
    assert [record["state"] for record in records] == ["finished"] * 10
    evaluations = sorted(folder.name for folder in (made / "runs").glob("*/evaluation/*"))
    assert evaluations == ["data-test-object"] * 4 + ["data-test-query"] * 4


def test_a_second_call_trains_nothing(
    made: Path,
    synthetic_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Though runs were renamed, the data moved, a pre-training is gone, and another table asks."""
    shutil.copytree(made / "runs", tmp_path / "runs")
    shutil.rmtree(next((tmp_path / "runs").glob("pretrain-*")))
    folders = [file.parent for file in (tmp_path / "runs").rglob(RECORD_NAME)]
    for number, run in enumerate(folders):
        shutil.move(run, tmp_path / "runs" / "sorted" / f"number {number}")
    data = shutil.copytree(synthetic_data, tmp_path / "data")
    forbid_training(monkeypatch)
    monkeypatch.setattr(runner, "evaluate_weights", lambda *_, **__: pytest.fail("nothing is to be measured"))
    assert main(command(data, tmp_path, "--seeds", "0", "1")) == 0
    printed = capsys.readouterr().out
    assert printed.count("  finished     seed ") == 9
    assert printed.count("  not needed   seed ") == 1
    assert "not done" not in printed
    first, second = (json.loads((folder / "results" / "table8.json").read_text()) for folder in (made, tmp_path))
    assert first["rows"] == second["rows"]
    rows = ["--rows", "Classifier", "Ours-QC"]
    assert main(command(data, tmp_path, "--seeds", "0", "1", *rows, table="table5")) == 0
    assert read_outcome(tmp_path / "results" / "table5.json").rows[1].problems == ()


def test_what_is_missing_is_said_and_the_rest_is_written(
    made: Path,
    synthetic_data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pre-training that diverged, and a damaged record; nothing else is lost."""
    runs = shutil.copytree(made / "runs", tmp_path / "runs")
    scale = miniature_scale(runs / "classifier.safetensors")
    plan = make_plan(PAPER_TABLES["table8"], scale, synthetic_sources(synthetic_data), (0, 1))
    trained = {(cell.row.name, cell.seed): cell.training for cell in plan.cells}
    damaged, waiting = trained["OC-FT", 0], trained["QC-FT+PT", 1]
    assert damaged
    assert waiting
    assert waiting.after
    (runs / damaged.name / RECORD_NAME).write_text("{")
    shutil.rmtree(runs / waiting.name)
    shutil.rmtree(runs / waiting.after.name)
    diverge(runs / "gone", waiting.after)
    forbid_training(monkeypatch, runs / damaged.name)
    assert main(command(synthetic_data, tmp_path, "--seeds", "0", "1")) == 0
    printed = capsys.readouterr().out
    assert f"  note         {runs / damaged.name / RECORD_NAME}: no record of a run (JSONDecodeError)\n" in printed
    assert f"  diverged     seed 1  {runs / 'gone'}  (OC-FT+PT, QC-FT+PT)\n" in printed
    assert f"not done: {damaged.name}: output '{runs / damaged.name}' exists; choose another folder" in printed
    assert f"not done: {waiting.after.name}: {runs / 'gone'}: training diverged: at step 7; remove" in printed
    assert f"not done: {waiting.name}: {waiting.after.name} failed\n" in printed
    rows = {row.name: row for row in read_outcome(tmp_path / "results" / "table8.json").rows}
    assert rows["OC-FT"].problems == (f"synthetic scenes, seed 0: {runs / damaged.name}: missing",)
    assert rows["QC-FT+PT"].problems == (f"synthetic scenes, seed 1: {runs / 'gone'}: training diverged: at step 7",)
    assert rows["OC-FT+PT"].problems == ()
    assert [len(row.own["synthetic scenes"]["mAP"]) for row in rows.values()] == [1, 2, 2, 1]
    assert (runs / damaged.name / "weights.safetensors").is_file()


def test_an_interrupted_call_goes_on(
    synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(synthetic_data, tmp_path, "--rows", "OC-FT+PT")
    with monkeypatch.context() as patch:
        interrupt_step(patch, 1)
        assert main(arguments) == 130
    printed = capsys.readouterr()
    assert printed.err.endswith("spnet reproduce: interrupted; the same command goes on from here\n")
    assert not (tmp_path / "results").exists()
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert [line.split()[0] for line in printed.out.splitlines() if " seed 0 " in line] == ["interrupted", "missing"]
    assert read_outcome(tmp_path / "results" / "table8.json").rows[0].problems == ()


def test_metrics_of_another_evaluator_are_said_and_measured_again(
    made: Path,
    synthetic_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(made / "runs", tmp_path / "runs")
    file, *_ = (tmp_path / "runs").glob("*/evaluation/data-test-object/metrics.json")
    content = json.loads(file.read_text())
    content["protocols"]["test"]["detected"]["mAP"] = 0.123
    file.write_text(json.dumps(content | {"evaluator_version": 0}))
    forbid_training(monkeypatch)
    assert main(command(synthetic_data, tmp_path, "--seeds", "0", "1")) == 0
    said = f"  note         {file}: measured with evaluator version 0, this is version {EVALUATOR_VERSION}"
    assert said in capsys.readouterr().out
    first, second = (json.loads((folder / "results" / "table8.json").read_text()) for folder in (made, tmp_path))
    assert first["rows"] == second["rows"]


def test_a_chart_is_drawn_and_several_are_made_at_once(
    made: Path, synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any of their runs: what there is not is said, and the files are there."""
    monkeypatch.setattr(reproduce, "run_jobs", lambda jobs, at_once, logs: {job.name: "not today" for job in jobs})
    assert main(["reproduce", "figure7", *command(synthetic_data, tmp_path, table="speed")[1:]]) == 0
    names = {file.name for file in (tmp_path / "results").iterdir()}
    assert names == {f"{key}.{kind}" for key in ("speed", "figure7") for kind in ("md", "tex", "json")} | {
        "figure7.png",
        "figure7.pdf",
    }


def test_results_that_cannot_be_written_are_refused(
    made: Path, synthetic_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").touch()
    arguments = command(synthetic_data, tmp_path, "--seeds", "0", "1", "--runs", str(made / "runs"))
    assert main(arguments) == 2
    assert capsys.readouterr().err.splitlines()[-1:] == [
        f"spnet reproduce: error: {tmp_path / 'results'}: cannot be made: File exists"
    ]


def test_two_at_once(
    synthetic_data: Path,
    preloaded: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In processes of their own, each with a log."""
    monkeypatch.setattr(sys, "executable", preloaded)
    monkeypatch.setattr(reproduce, "run_jobs", run_jobs)
    rows = ["--rows", "OC-FT", "QC-FT"]
    assert main(command(synthetic_data, tmp_path, "--jobs", "2", *rows)) == 0
    outcome = read_outcome(tmp_path / "results" / "table8.json")
    assert [row.problems for row in outcome.rows] == [(), ()]
    assert [len(row.own["synthetic scenes"]["mAP"]) for row in outcome.rows] == [1, 1]
    printed = capfd.readouterr().err
    runs = list((tmp_path / "runs").glob("finetune-*"))
    assert len(runs) == 2
    for run in runs:
        log = tmp_path / "runs" / "jobs" / f"{run.name}.log"
        assert f"{run.name}: started; log: {log}\n" in printed
        assert f"{run.name}: done in " in printed
        assert "epoch 1/1" in log.read_text()


def test_handed_to_a_cluster(
    synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands travel, and come after their pre-training."""
    handed: list[Any] = []

    def submit(jobs: list[Job], folder: Path, options: dict[str, str]) -> dict[str, str]:
        handed.extend([folder, options, *jobs])
        return {job.name: str(100 + row) for row, job in enumerate(jobs)}

    monkeypatch.setattr(reproduce, "submit", submit)
    rows = ["--rows", "OC-FT+PT", "--slurm", "slurm_partition=gpu", "timeout_min=60"]
    assert main(command(synthetic_data, tmp_path, *rows)) == 0
    folder, options, before, after, evaluation = handed
    assert folder == tmp_path / "runs" / "slurm"
    assert options == {"slurm_partition": "gpu", "timeout_min": "60"}
    assert (after.after, evaluation.after) == ((before.name,), (after.name,))
    assert f"{before.name}: job 100\n{after.name}: job 101\n" in capsys.readouterr().err
    assert "missing" in read_outcome(tmp_path / "results" / "table8.json").rows[0].problems[0]
