"""Carrying out a plan: only what is missing is done, what cannot be done is said by name, and the rest goes on."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fake_runs import begin, diverge, finish, finish_all, interrupt, interrupt_step, note_figures
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.evaluation.metrics_file import EvaluatorMismatch
from spnet.evaluation.report import EVALUATOR_VERSION
from spnet.paper import execute as room
from spnet.paper.execute import Measurement, evaluator_mismatches, jobs_of, measurement_of, metrics_of
from spnet.paper.plan import Plan, Training, make_plan
from spnet.paper.reproduce import only_rows
from spnet.paper.results.collect import collect_outcome
from spnet.paper.rows.datasets import synthetic_sources
from spnet.paper.rows.figures import exhibit
from spnet.paper.rows.paper_table import Scale
from spnet.paper.run_index import Runs
from spnet.runs.folder import LAST
from spnet.runs.record import read_record
from spnet.training.nonfinite import NonFiniteWeights

STREETS = "drawn streets"


def plan_of(key: str, scale: Scale, data: Path, *rows: str, seeds: tuple[int, ...] = (0,)) -> Plan:
    one = exhibit(key)
    return make_plan(only_rows(one, rows) if rows else one, scale, synthetic_sources(data), seeds)


@pytest.fixture
def table8(miniature: Scale, synthetic_data: Path) -> Plan:
    return plan_of("table8", miniature, synthetic_data)


def by_row(plan: Plan) -> dict[str, Training]:
    """The training of each row's last seed."""
    return {cell.row.name: cell.training for cell in plan.cells if cell.training}


def note_all(plan: Plan, folders: dict[str, Path]) -> None:
    """Every run that a cell asks for is measured, with 50% mAP."""
    for cell in plan.cells:
        wanted = measurement_of(cell, plan)
        if cell.training and wanted:
            note_figures(folders[cell.training.fingerprint], wanted)


def todo(plan: Plan, runs: Path) -> dict[str, Any]:
    """Arguments of what is to be done, by name of the run."""
    jobs, _ = jobs_of(plan, Runs(runs))
    works: list[Any] = [job.work for job in jobs]
    assert all(isinstance(work, partial) for work in works)
    return {job.name: work.args for job, work in zip(jobs, works, strict=True)}


def test_what_is_measured(miniature: Scale, synthetic_data: Path, table8: Plan) -> None:
    wanted = {cell.row.name: measurement_of(cell, table8) for cell in table8.cells}
    own, query = Measurement(synthetic_data, "test", "object"), Measurement(synthetic_data, "test", "query")
    assert wanted == {"OC-FT": own, "OC-FT+PT": own, "QC-FT": query, "QC-FT+PT": query}
    times = plan_of("table4", miniature, synthetic_data)
    assert {measurement_of(cell, times) for cell in times.cells} == {None}
    speeds = plan_of("speed", miniature, synthetic_data)
    assert {measurement_of(cell, speeds) for cell in speeds.cells} == {replace(own, speed=True)}


def test_everything_is_to_be_done_where_nothing_is(table8: Plan, tmp_path: Path) -> None:
    jobs, lost = jobs_of(table8, Runs(tmp_path / "runs"))
    assert lost == {}
    assert [job.name for job in jobs] == [run.name for run in table8.trainings()]
    runs = by_row(table8)
    before = runs["OC-FT+PT"].after
    assert before is not None
    assert {job.name: job.after for job in jobs} == {
        before.name: (),
        **{run.name: (before.name,) if run.after else () for run in runs.values()},
    }
    arguments = todo(table8, tmp_path / "runs")
    assert arguments[runs["OC-FT+PT"].name][0].weights.init_from == str(tmp_path / "runs" / before.name)
    assert arguments[runs["OC-FT"].name][0].weights.init_from is None
    assert arguments[before.name][3] == ()
    assert not (tmp_path / "runs").exists()


def test_nothing_is_to_be_done_where_everything_is(table8: Plan, tmp_path: Path) -> None:
    folders = finish_all(table8, tmp_path)
    assert all(found.state == "finished" for *_, found, _ in todo(table8, tmp_path).values())
    note_all(table8, folders)
    assert jobs_of(table8, Runs(tmp_path)) == ([], {})


def test_a_pretraining_is_used_where_it_lies_now(table8: Plan, tmp_path: Path) -> None:
    run = by_row(table8)["QC-FT+PT"]
    assert run.after is not None
    finish(tmp_path / "moved" / "by hand", run.after)
    jobs, _ = jobs_of(table8, Runs(tmp_path))
    assert {job.after for job in jobs} == {()}
    assert run.after.name not in {job.name for job in jobs}
    assert todo(table8, tmp_path)[run.name][0].weights.init_from == str(tmp_path / "moved" / "by hand")


def test_only_what_is_not_measured_is_measured(table8: Plan, synthetic_data: Path, tmp_path: Path) -> None:
    folders = finish_all(table8, tmp_path)
    note_all(table8, folders)
    run = by_row(table8)["QC-FT"]
    shutil.rmtree(folders[run.fingerprint] / "evaluation")
    assert {name: arguments[3] for name, arguments in todo(table8, tmp_path).items()} == {
        run.name: (Measurement(synthetic_data, "test", "query"),)
    }


def test_figures_are_of_these_annotations(synthetic_data: Path, tmp_path: Path) -> None:
    data = shutil.copytree(synthetic_data, tmp_path / "data")
    wanted = Measurement(data, "test", "object")
    with pytest.raises(UserError, match=r"metrics\.json: no such file"):
        metrics_of(tmp_path / "run", wanted)
    file = note_figures(tmp_path / "run", wanted, 0.4)
    assert metrics_of(tmp_path / "run", wanted)["mAP"] == pytest.approx(40)
    with pytest.raises(UserError, match=r"speed\.json: no measured speed"):
        metrics_of(tmp_path / "run", replace(wanted, speed=True))
    test = data / "annotations" / "test.json"
    content = json.loads(test.read_text())
    content["annotations"][0]["bbox"][2] += 1
    test.write_text(json.dumps(content))
    with pytest.raises(UserError) as raised:
        metrics_of(tmp_path / "run", wanted)
    assert str(raised.value) == f"{file}: measured on other annotations than those of {data}"


def test_figures_of_another_evaluator_are_said_and_measured_again(table8: Plan, tmp_path: Path) -> None:
    folders = finish_all(table8, tmp_path)
    note_all(table8, folders)
    assert evaluator_mismatches(table8, Runs(tmp_path)) == {}
    cell = table8.cells[1]
    wanted = measurement_of(cell, table8)
    assert cell.training is not None
    assert wanted is not None
    file = note_figures(folders[cell.training.fingerprint], wanted, version=EVALUATOR_VERSION + 1)
    with pytest.raises(EvaluatorMismatch):
        metrics_of(folders[cell.training.fingerprint], wanted)
    ((name, said),) = evaluator_mismatches(table8, Runs(tmp_path)).items()
    assert name == cell.training.name
    assert said.startswith(f"{file}: measured with evaluator version {EVALUATOR_VERSION + 1}, this is version")
    assert {name: arguments[3] for name, arguments in todo(table8, tmp_path).items()} == {name: (wanted,)}


def test_what_diverged_is_named_and_not_tried_again(table8: Plan, tmp_path: Path) -> None:
    run = by_row(table8)["OC-FT+PT"]
    assert run.after is not None
    folder = diverge(tmp_path / "gone", run.after)
    jobs, lost = jobs_of(table8, Runs(tmp_path))
    runs = by_row(table8)
    assert lost == {
        run.after.name: f"{folder}: training diverged: at step 7; remove the folder to try again",
        runs["OC-FT+PT"].name: f"{run.after.name} failed",
        runs["QC-FT+PT"].name: f"{run.after.name} failed",
    }
    assert [job.name for job in jobs] == [runs["OC-FT"].name, runs["QC-FT"].name]
    problems = {row.name: row.problems for row in collect_outcome(table8, Runs(tmp_path)).rows}
    diverged = f"{STREETS}, seed 0: {folder}: training diverged: at step 7"
    missing = f"{STREETS}, seed 0: {tmp_path / runs['OC-FT'].name}: missing"
    assert problems["OC-FT+PT"] == problems["QC-FT+PT"] == (diverged,)
    assert problems["OC-FT"] == (missing,)


def test_an_interrupted_run_goes_on_and_a_killed_one_begins_anew(
    table8: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Path, bool, bool]] = []

    def fit(config: RunConfig, output: Path, resume: bool = False) -> None:
        calls.append((output, resume, output.exists()))

    monkeypatch.setattr(room, "fit", fit)
    monkeypatch.setattr(room, "measure", lambda run, wanted: None)
    runs = by_row(table8)
    interrupt(tmp_path / "with checkpoint", runs["OC-FT"])
    begin(tmp_path / "killed", runs["QC-FT"])
    for job in jobs_of(table8, Runs(tmp_path))[0]:
        job.work()
    assert calls == [
        (tmp_path / "with checkpoint", True, True),
        (tmp_path / runs["OC-FT+PT"].after.name, False, False),  # type: ignore[union-attr]
        (tmp_path / runs["OC-FT+PT"].name, False, False),
        (tmp_path / "killed", False, False),
        (tmp_path / runs["QC-FT+PT"].name, False, False),
    ]


def test_train_measure_and_find_again(
    miniature: Scale, synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in its second step, it goes on; what it needs is then there, its speed too."""
    plan = plan_of("speed", miniature, synthetic_data, "SPNet-S")
    before, after = jobs_of(plan, Runs(tmp_path))[0]
    before.work()
    with monkeypatch.context() as patch:
        interrupt_step(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            after.work()
    run = by_row(plan)["SPNet-S"]
    found = Runs(tmp_path).find(run)
    assert found.state == "interrupted"
    (job,) = jobs_of(plan, Runs(tmp_path))[0]
    job.work()
    record = read_record(found.folder)
    assert record is not None
    assert (record.fingerprint, record.state, record.steps) == (run.fingerprint, "finished", 3)
    assert jobs_of(plan, Runs(tmp_path)) == ([], {})
    (row,) = collect_outcome(plan, Runs(tmp_path)).rows
    assert row.problems == ()
    (milliseconds,) = row.own[STREETS]["ms a scene"]
    (precision,) = row.own[STREETS]["mAP"]
    assert 0 < milliseconds < 60_000
    assert 0 <= precision <= 100


def test_divergence_is_remembered(miniature: Scale, synthetic_data: Path, tmp_path: Path) -> None:
    """Weights are no numbers before the first checkpoint: the folder still says so."""
    recipe = miniature.spnet_s
    assert recipe.finetune is not None
    wild = replace(recipe.finetune, optimizer=replace(recipe.finetune.optimizer, lr=1e30, grad_clip_norm=1e30))
    plan = plan_of("table8", replace(miniature, spnet_s=replace(recipe, finetune=wild)), synthetic_data, "OC-FT")
    (job,), _ = jobs_of(plan, Runs(tmp_path))
    with pytest.raises(NonFiniteWeights, match=r"at step 3 weights are no finite numbers"):
        job.work()
    found = Runs(tmp_path).find(by_row(plan)["OC-FT"])
    assert found.state == "diverged"
    assert not (found.folder / LAST).exists()
    jobs, lost = jobs_of(plan, Runs(tmp_path))
    assert jobs == []
    assert "training diverged: at step 3" in lost[job.name]
    shutil.rmtree(found.folder)
    assert len(jobs_of(plan, Runs(tmp_path))[0]) == 1
