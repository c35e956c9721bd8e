"""Does what a plan asks for and is not there yet: training, then the measurements of its figures."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from spnet.config.schema import PathwayName, RunConfig
from spnet.data.schema import read_annotations
from spnet.errors import UserError
from spnet.evaluation.extract import ExtractionConfig, default_device
from spnet.evaluation.latency import measure_latency, read_latency, write_latency
from spnet.evaluation.metrics_file import EvaluatorMismatch, read_about, read_metrics
from spnet.evaluation.runner import METRICS, evaluate_weights, evaluation_folder
from spnet.models.checkpoints import WEIGHTS_NAME, load_network
from spnet.paper.plan import Cell, Plan, Training
from spnet.paper.process_pool import Job
from spnet.paper.run_index import Found, Runs, needed_trainings
from spnet.runs.folder import LAST, split_file, write_config
from spnet.runs.record import RunRecord, annotations_digest, write_record
from spnet.training.fit import fit
from spnet.training.nonfinite import NonFiniteWeights

SPEED = "speed.json"
SPEED_METRIC = "ms a scene"


@dataclass(frozen=True)
class Measurement:
    """Something to be measured with a run's weights.

    Args:
        data: the prepared data set.
        split: and the protocol of the same name.
        pathway: at test time: that of the training.
        speed: the time a scene takes too.
    """

    data: Path
    split: str
    pathway: PathwayName
    speed: bool = False


def measurement_of(cell: Cell, plan: Plan) -> Measurement | None:
    """What a cell wants measured, if anything but its training's time."""
    if cell.training is None or cell.data is None:
        return None
    metrics = {metric for _, names in plan.exhibit.columns for metric in names}
    if metrics == {"hours"}:
        return None
    data = plan.sources.root(cell.data)
    return Measurement(data, cell.data.test, cell.training.config.objective.pathway, SPEED_METRIC in metrics)


def metrics_of(run: Path, wanted: Measurement) -> dict[str, float]:
    """What was measured, by metric. Raises UserError if it was not, or not on this data and by this evaluator."""
    folder = evaluation_folder(run, wanted.data, wanted.split, wanted.pathway)
    file = folder / METRICS
    figures = read_metrics(file, wanted.split)
    known = read_about(file).get("annotations")
    if known != annotations_digest(split_file(wanted.data, wanted.split)):
        raise UserError(f"{file}: measured on other annotations than those of {wanted.data}")
    if wanted.speed:
        figures[SPEED_METRIC] = read_latency(folder / SPEED).milliseconds
    return figures


def jobs_of(plan: Plan, runs: Runs) -> tuple[list[Job], dict[str, str]]:
    """What is still to be done, predecessors first; and which runs cannot be had, by name, and why."""
    wanted: dict[str, set[Measurement]] = {}
    for cell in plan.cells:
        if cell.training and (measurement := measurement_of(cell, plan)):
            wanted.setdefault(cell.training.fingerprint, set()).add(measurement)
    jobs: list[Job] = []
    lost: dict[str, str] = {}
    for training in needed_trainings(plan, runs):
        found = runs.find(training)
        before = training.after
        if found.state == "diverged":
            lost[training.name] = f"{found.folder}: {found.reason}; remove the folder to try again"
        elif before and before.name in lost and found.state != "finished":
            lost[training.name] = f"{before.name} failed"
        elif work := _work(training, found, runs, wanted.get(training.fingerprint, set())):
            to_do = {job.name for job in jobs}
            jobs.append(Job(training.name, work, (before.name,) if before and before.name in to_do else ()))
    return jobs, lost


def _work(training: Training, found: Found, runs: Runs, wanted: set[Measurement]) -> Callable[[], object] | None:
    """What is to be done for a training; None if everything is there."""
    missing = tuple(one for one in wanted if found.state != "finished" or not _is_measured(found.folder, one))
    if found.state == "finished" and not missing:
        return None
    source = runs.find(training.after).folder if training.after else None
    config = replace(
        training.config, weights=replace(training.config.weights, init_from=str(source) if source else None)
    )
    return partial(execute, config, training.fingerprint, found, missing)


def _is_measured(run: Path, wanted: Measurement) -> bool:
    try:
        metrics_of(run, wanted)
    except UserError:
        return False
    return True


def execute(config: RunConfig, fingerprint: str, found: Found, measurements: tuple[Measurement, ...]) -> None:
    """Train, or go on, and measure. Raises UserError; a run that diverged is remembered."""
    if found.state != "finished":
        print("training", flush=True)
        train(config, fingerprint, found)
    for one in measurements:
        print(f"measuring on {one.data.name}", flush=True)
        measure(found.folder, one)


def train(config: RunConfig, fingerprint: str, found: Found) -> None:
    """Train, from the last checkpoint if there is one. Raises UserError."""
    resume = found.state == "interrupted"
    if not any((found.folder / saved).exists() for saved in (WEIGHTS_NAME, LAST)):  # a damaged record loses no weights
        shutil.rmtree(found.folder, ignore_errors=True)
    try:
        fit(config, found.folder, resume=resume)
    except NonFiniteWeights as error:
        write_config(found.folder, config)
        write_record(found.folder, RunRecord(fingerprint, "diverged", str(error)))
        raise


def measure(run: Path, wanted: Measurement) -> None:
    """Evaluate a finished run. Raises UserError."""
    folder = evaluate_weights(run, wanted.data, wanted.split, pathway=wanted.pathway, num_workers=0).folder
    if wanted.speed:
        network = load_network(run)
        annotations = read_annotations(split_file(wanted.data, wanted.split))
        inference = network.config.inference
        how = ExtractionConfig(inference.min_size, inference.max_size, device=default_device())
        write_latency(folder / SPEED, measure_latency(network, annotations, how))


def evaluator_mismatches(plan: Plan, runs: Runs) -> Mapping[str, str]:
    """Runs whose figures are of another version of the evaluator, by name: they are measured again."""
    stale = {}
    for cell in plan.cells:
        wanted = measurement_of(cell, plan)
        if cell.training is None or wanted is None:
            continue
        try:
            metrics_of(runs.find(cell.training).folder, wanted)
        except EvaluatorMismatch as error:
            stale[cell.training.name] = str(error)
        except UserError:
            continue
    return stale
