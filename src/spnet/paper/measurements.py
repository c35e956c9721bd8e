"""What the cells of a plan want measured with the weights of their runs, and what has been measured of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spnet.config.schema import PathwayName
from spnet.errors import UserError
from spnet.evaluation.latency import LATENCY, read_latency
from spnet.evaluation.metrics_file import METRICS, EvaluatorMismatch, read_about, read_metrics
from spnet.evaluation.runner import evaluation_folder
from spnet.paper.plan import Cell, Plan
from spnet.runs.folder import split_file
from spnet.runs.index import RunIndex
from spnet.runs.record import annotations_digest

LATENCY_METRIC = "ms a scene"


@dataclass(frozen=True)
class Measurement:
    """An evaluation of a run.

    Args:
        data: the prepared data set.
        split: annotations to find people in, and the retrieval protocol of the same name.
        pathway: at test time, that of the training.
        latency: measure the time of a scene too.
    """

    data: Path
    split: str
    pathway: PathwayName
    latency: bool = False

    def folder(self, run: Path) -> Path:
        """Where the metrics of a run are written."""
        return evaluation_folder(run, self.data, self.split, self.pathway)

    def is_done(self, run: Path) -> bool:
        """Whether `read_measurement` has something to read."""
        try:
            read_measurement(run, self)
        except UserError:
            return False
        return True


def measurement_of(cell: Cell, plan: Plan) -> Measurement | None:
    """What a cell wants measured; None if there is no run, or only its training time is asked for."""
    if cell.training is None or cell.data is None:
        return None
    metrics = {metric for _, names in plan.table.columns for metric in names}
    if metrics == {"hours"}:
        return None
    pathway = cell.training.config.objective.pathway
    return Measurement(plan.sources.root(cell.data), cell.data.test, pathway, LATENCY_METRIC in metrics)


def read_measurement(run: Path, wanted: Measurement) -> dict[str, float]:
    """Metrics of a run by name, in the units of the paper's tables.

    Raises:
        EvaluatorMismatch: measured by another version of the evaluator.
        UserError: not measured, damaged, or measured on other annotations.
    """
    folder = wanted.folder(run)
    file = folder / METRICS
    metrics = read_metrics(file, wanted.split)
    if read_about(file).get("annotations") != annotations_digest(split_file(wanted.data, wanted.split)):
        raise UserError(f"{file}: measured on other annotations than those of {wanted.data}")
    if wanted.latency:
        metrics[LATENCY_METRIC] = read_latency(folder / LATENCY).milliseconds
    return metrics


def evaluator_mismatches(plan: Plan, runs: RunIndex) -> Mapping[str, str]:
    """Runs with metrics of another version of the evaluator, by name: they will be evaluated again."""
    mismatches = {}
    for cell in plan.cells:
        wanted = measurement_of(cell, plan)
        if cell.training is None or wanted is None:
            continue
        try:
            read_measurement(cell.training.find(runs).folder, wanted)
        except EvaluatorMismatch as error:
            mismatches[cell.training.name] = str(error)
        except UserError:
            continue
    return mismatches
