"""Jobs of a plan: only what is missing is done, what cannot be done is said by name, and the rest goes on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fake_runs import begin, damage, diverge, finish, finish_all, interrupt, interrupt_step, note_metrics
from reproducing import run_here, run_jobs_here
from spnet.config.io import override
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.evaluation.metrics_file import EVALUATOR_VERSION, EvaluatorMismatch
from spnet.paper.datasets import synthetic_sources
from spnet.paper.execute import make_jobs
from spnet.paper.figures import get_table
from spnet.paper.measurements import Measurement, evaluator_mismatches, measurement_of, read_measurement
from spnet.paper.paper_table import Scale
from spnet.paper.plan import Plan, Training, make_plan
from spnet.paper.process_pool import Job, spnet_command
from spnet.paper.reproduce import only_rows
from spnet.paper.results.collect import collect_outcome
from spnet.runs.folder import CURVES, LAST, read_run_config
from spnet.runs.index import RunIndex
from spnet.runs.record import read_record

STREETS = "synthetic scenes"


def plan_of(key: str, scale: Scale, data: Path, *rows: str, seeds: tuple[int, ...] = (0,)) -> Plan:
    one = get_table(key)
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
            note_metrics(folders[cell.training.fingerprint], wanted)


def arguments_of(job: Job) -> tuple[str, ...]:
    """What stands behind `spnet`."""
    program = spnet_command()
    assert job.command[: len(program)] == program
    return job.command[len(program) :]


def evaluation_of(run: Training, data: Path, folder: Path, after: tuple[str, ...]) -> Job:
    """The job that measures a run on its synthetic data."""
    pathway = run.config.objective.pathway
    command = spnet_command("evaluate", folder, "--data", data, "--split", "test", "--pathway", pathway)
    return Job(f"{run.name}-on-data-test-{pathway}", (*command, "--num-workers", "0"), after)


def test_what_is_measured(miniature: Scale, synthetic_data: Path, table8: Plan) -> None:
    wanted = {cell.row.name: measurement_of(cell, table8) for cell in table8.cells}
    own, query = Measurement(synthetic_data, "test", "object"), Measurement(synthetic_data, "test", "query")
    assert wanted == {"OC-FT": own, "OC-FT+PT": own, "QC-FT": query, "QC-FT+PT": query}
    times = plan_of("table4", miniature, synthetic_data)
    assert {measurement_of(cell, times) for cell in times.cells} == {None}
    speeds = plan_of("speed", miniature, synthetic_data)
    assert {measurement_of(cell, speeds) for cell in speeds.cells} == {replace(own, latency=True)}


def test_everything_is_to_be_done_where_nothing_is(table8: Plan, synthetic_data: Path, tmp_path: Path) -> None:
    """Each command is a line of its own: what it reads is in files."""
    jobs, failed = make_jobs(table8, RunIndex(tmp_path))
    assert failed == {}
    runs = by_row(table8)
    before = runs["OC-FT+PT"].after
    assert before is not None
    trainings = {run.name: run for run in (before, *runs.values())}
    expected = {name: (before.name,) if run.after else () for name, run in trainings.items()}
    assert {job.name: job.after for job in jobs if job.name in trainings} == expected
    evaluations = [evaluation_of(run, synthetic_data, tmp_path / run.name, (run.name,)) for run in runs.values()]
    assert [job for job in jobs if job.name not in trainings] == evaluations
    for job in jobs:
        if run := trainings.get(job.name):
            file = tmp_path / "jobs" / f"{run.name}.yaml"
            assert arguments_of(job) == ("train", "--config", str(file), "--output", str(tmp_path / run.name))
            source = str(tmp_path / before.name) if run.after else None
            expected_config = replace(run.config, weights=replace(run.config.weights, init_from=source))
            assert override(RunConfig(), file) == expected_config
    assert [folder.name for folder in tmp_path.iterdir()] == ["jobs"]


def test_nothing_is_to_be_done_where_everything_is(table8: Plan, synthetic_data: Path, tmp_path: Path) -> None:
    folders = finish_all(table8, tmp_path)
    runs = by_row(table8).values()
    evaluations = [evaluation_of(run, synthetic_data, folders[run.fingerprint], ()) for run in runs]
    assert make_jobs(table8, RunIndex(tmp_path)) == (evaluations, {})
    note_all(table8, folders)
    assert make_jobs(table8, RunIndex(tmp_path)) == ([], {})


def test_a_pretraining_is_used_where_it_lies_now(table8: Plan, tmp_path: Path) -> None:
    run = by_row(table8)["QC-FT+PT"]
    assert run.after is not None
    finish(tmp_path / "moved" / "by hand", run.after)
    jobs, _ = make_jobs(table8, RunIndex(tmp_path))
    assert run.after.name not in {job.name for job in jobs}
    assert {job.after for job in jobs if arguments_of(job)[0] == "train"} == {()}
    config = override(RunConfig(), tmp_path / "jobs" / f"{run.name}.yaml")
    assert config.weights.init_from == str(tmp_path / "moved" / "by hand")


def test_only_what_is_not_measured_is_measured(table8: Plan, synthetic_data: Path, tmp_path: Path) -> None:
    folders = finish_all(table8, tmp_path)
    note_all(table8, folders)
    run = by_row(table8)["QC-FT"]
    shutil.rmtree(folders[run.fingerprint] / "evaluation")
    (job,), _ = make_jobs(table8, RunIndex(tmp_path))
    assert job == evaluation_of(run, synthetic_data, folders[run.fingerprint], ())


def test_metrics_are_of_these_annotations(synthetic_data: Path, tmp_path: Path) -> None:
    data = shutil.copytree(synthetic_data, tmp_path / "data")
    wanted = Measurement(data, "test", "object")
    with pytest.raises(UserError, match=r"metrics\.json: no such file"):
        read_measurement(tmp_path / "run", wanted)
    file = note_metrics(tmp_path / "run", wanted, 0.4)
    assert read_measurement(tmp_path / "run", wanted)["mAP"] == pytest.approx(40)
    with pytest.raises(UserError, match=r"latency\.json: no measured speed"):
        read_measurement(tmp_path / "run", replace(wanted, latency=True))
    test = data / "annotations" / "test.json"
    content = json.loads(test.read_text())
    content["annotations"][0]["bbox"][2] += 1
    test.write_text(json.dumps(content))
    with pytest.raises(UserError) as raised:
        read_measurement(tmp_path / "run", wanted)
    assert str(raised.value) == f"{file}: measured on other annotations than those of {data}"


def test_metrics_of_another_evaluator_are_said_and_measured_again(
    table8: Plan, synthetic_data: Path, tmp_path: Path
) -> None:
    folders = finish_all(table8, tmp_path)
    note_all(table8, folders)
    assert evaluator_mismatches(table8, RunIndex(tmp_path)) == {}
    cell = table8.cells[1]
    wanted = measurement_of(cell, table8)
    assert cell.training is not None
    assert wanted is not None
    folder = folders[cell.training.fingerprint]
    file = note_metrics(folder, wanted, version=EVALUATOR_VERSION + 1)
    with pytest.raises(EvaluatorMismatch):
        read_measurement(folder, wanted)
    ((name, said),) = evaluator_mismatches(table8, RunIndex(tmp_path)).items()
    assert name == cell.training.name
    assert said.startswith(f"{file}: measured with evaluator version {EVALUATOR_VERSION + 1}, this is version")
    assert make_jobs(table8, RunIndex(tmp_path))[0] == [evaluation_of(cell.training, synthetic_data, folder, ())]


def test_what_diverged_is_named_and_not_tried_again(table8: Plan, tmp_path: Path) -> None:
    run = by_row(table8)["OC-FT+PT"]
    assert run.after is not None
    folder = diverge(tmp_path / "gone", run.after)
    jobs, failed = make_jobs(table8, RunIndex(tmp_path))
    runs = by_row(table8)
    assert failed == {
        run.after.name: f"{folder}: training diverged: at step 7; remove the folder to try again",
        runs["OC-FT+PT"].name: f"{run.after.name} failed",
        runs["QC-FT+PT"].name: f"{run.after.name} failed",
    }
    trainings = [job.name for job in jobs if arguments_of(job)[0] == "train"]
    assert trainings == [runs["OC-FT"].name, runs["QC-FT"].name]
    problems = {row.name: row.problems for row in collect_outcome(table8, RunIndex(tmp_path)).rows}
    diverged = f"{STREETS}, seed 0: {folder}: training diverged: at step 7"
    missing = f"{STREETS}, seed 0: {tmp_path / runs['OC-FT'].name}: missing"
    assert problems["OC-FT+PT"] == problems["QC-FT+PT"] == (diverged,)
    assert problems["OC-FT"] == (missing,)


def test_what_is_damaged_is_named_and_kept(table8: Plan, tmp_path: Path) -> None:
    run = by_row(table8)["OC-FT"]
    folder = damage(tmp_path / "run", run)
    jobs, failed = make_jobs(table8, RunIndex(tmp_path))
    assert run.name not in {job.name for job in jobs}
    assert failed[run.name].startswith(f"{folder}: weights.safetensors is damaged (")
    assert failed[run.name].endswith("; remove the folder to try again")
    assert (folder / "weights.safetensors").is_file()


def test_an_interrupted_run_goes_on_and_a_killed_one_begins_anew(table8: Plan, tmp_path: Path) -> None:
    """The data may have moved meanwhile: the configuration says where it is now."""
    runs = by_row(table8)
    config = replace(runs["OC-FT"].config, data=replace(runs["OC-FT"].config.data, root="before"))
    resumed = interrupt(tmp_path / "with checkpoint", replace(runs["OC-FT"], config=config))
    killed = begin(tmp_path / "killed", runs["QC-FT"])
    commands = {job.name: arguments_of(job) for job in make_jobs(table8, RunIndex(tmp_path))[0]}
    assert commands[runs["OC-FT"].name] == ("train", "--resume", str(resumed))
    assert read_run_config(resumed) == runs["OC-FT"].config
    assert commands[runs["QC-FT"].name][3:] == ("--output", str(killed))
    assert not killed.exists()


def test_train_measure_and_find_again(
    miniature: Scale, synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in its second step, it goes on; what it needs is then there, its latency too."""
    plan = plan_of("speed", miniature, synthetic_data, "SPNet-S")
    before, after, _ = make_jobs(plan, RunIndex(tmp_path))[0]
    assert run_here(before.command) == ""
    with monkeypatch.context() as patch:
        interrupt_step(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            run_here(after.command)
    run = by_row(plan)["SPNet-S"]
    assert run.find(RunIndex(tmp_path)).state == "interrupted"
    jobs, failed = make_jobs(plan, RunIndex(tmp_path))
    assert [arguments_of(job)[0] for job in jobs] == ["train", "evaluate"]
    assert (failed, run_jobs_here(jobs, 1, tmp_path)) == ({}, {})
    record = read_record(run.find(RunIndex(tmp_path)).folder)
    assert record is not None
    assert (record.fingerprint, record.state, record.steps) == (run.fingerprint, "finished", 3)
    assert make_jobs(plan, RunIndex(tmp_path)) == ([], {})
    (row,) = collect_outcome(plan, RunIndex(tmp_path)).rows
    assert row.problems == ()
    (milliseconds,) = row.own[STREETS]["ms a scene"]
    (precision,) = row.own[STREETS]["mAP"]
    assert 0 < milliseconds < 60_000
    assert 0 <= precision <= 100


def test_divergence_is_remembered(miniature: Scale, synthetic_data: Path, tmp_path: Path) -> None:
    """Steps are skipped before the first checkpoint: the folder still says so, and has the losses."""
    recipe = miniature.spnet_s
    assert recipe.finetune is not None
    wild = replace(recipe.finetune, optimizer=replace(recipe.finetune.optimizer, lr=1e30, grad_clip_norm=1e30))
    plan = plan_of("table8", replace(miniature, spnet_s=replace(recipe, finetune=wild)), synthetic_data, "OC-FT")
    (job, _), _ = make_jobs(plan, RunIndex(tmp_path))
    assert "2 of the 3 steps of epoch 1 were skipped" in run_here(job.command)
    run = by_row(plan)["OC-FT"].find(RunIndex(tmp_path))
    assert run.state == "diverged"
    assert not (run.folder / LAST).exists()
    assert (run.folder / CURVES).parent.is_dir()
    jobs, failed = make_jobs(plan, RunIndex(tmp_path))
    assert jobs == []
    assert "training diverged: 2 of the 3 steps" in failed[job.name]
    shutil.rmtree(run.folder)
    assert len(make_jobs(plan, RunIndex(tmp_path))[0]) == 2
