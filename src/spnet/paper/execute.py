"""Turns a plan into jobs: the commands for what is not there yet, each a line that can be typed as well."""

import shutil

from spnet.config.presets import with_values
from spnet.models.hub import WEIGHTS_NAME
from spnet.paper.measurements import Measurement, measurement_of
from spnet.paper.plan import Plan, Training
from spnet.paper.process_pool import Job, spnet_command
from spnet.runs.folder import CONFIG_NAME, LAST, write_config
from spnet.runs.index import Run, RunIndex, RunState

JOBS = "jobs"  # subfolder of the runs: configurations and logs of the jobs


def make_jobs(plan: Plan, runs: RunIndex) -> tuple[list[Job], dict[str, str]]:
    """What is still to be done, predecessors first; and why the other runs cannot be had, by name.

    The configurations that the jobs read are written, and folders of runs that have to start again are removed.
    """
    measurements: dict[str, set[Measurement]] = {}
    for cell in plan.cells:
        if cell.training and (measurement := measurement_of(cell, plan)):
            measurements.setdefault(cell.training.fingerprint, set()).add(measurement)
    jobs: list[Job] = []
    failed: dict[str, str] = {}
    for training in plan.needed(runs):
        run, before = training.find(runs), training.after
        if run.state in (RunState.DIVERGED, RunState.DAMAGED):
            failed[training.name] = f"{run.folder}: {run.reason}; remove the folder to try again"
            continue
        if run.state != RunState.FINISHED:
            if before and before.name in failed and before.find(runs).state != RunState.FINISHED:
                failed[training.name] = f"{before.name} failed"
                continue
            to_do = {job.name for job in jobs}
            after = (before.name,) if before and before.name in to_do else ()
            jobs.append(Job(training.name, _training_command(training, run, runs), after))
        for wanted in measurements.get(training.fingerprint, ()):
            if run.state != RunState.FINISHED or not wanted.is_done(run.folder):
                jobs.append(_evaluation(training, run, wanted))
    return jobs, failed


def _training_command(training: Training, run: Run, runs: RunIndex) -> tuple[str, ...]:
    """Train, or resume if there is a checkpoint."""
    source = str(training.after.find(runs).folder) if training.after else None
    config = with_values(training.config, "weights", init_from=source)
    if run.state in (RunState.INTERRUPTED, RunState.FAILED) and (run.folder / LAST).is_file():
        write_config(run.folder / CONFIG_NAME, config)  # data and initial weights may have moved
        return spnet_command("train", "--resume", run.folder)
    if not any((run.folder / saved).exists() for saved in (WEIGHTS_NAME, LAST)):  # nothing saved, nothing lost
        shutil.rmtree(run.folder, ignore_errors=True)
    file = runs.folder / JOBS / f"{training.name}.yaml"
    write_config(file, config)
    return spnet_command("train", "--config", file, "--output", run.folder)


def _evaluation(training: Training, run: Run, wanted: Measurement) -> Job:
    data = ("--data", wanted.data, "--split", wanted.split, "--pathway", wanted.pathway)
    reading = ("--num-workers", training.config.data.num_workers)
    command = spnet_command("evaluate", run.folder, *data, *reading, *(["--latency"] if wanted.latency else []))
    after = () if run.state == RunState.FINISHED else (training.name,)
    return Job(f"{training.name}-on-{wanted.folder(run.folder).name}", command, after)
