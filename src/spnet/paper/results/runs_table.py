"""The table of all runs below a folder: how each was trained, how it stands, what it reached, what is wrong with it."""

import csv
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.evaluation.metrics_file import METRICS as METRICS_NAME
from spnet.evaluation.metrics_file import EvaluatorMismatch, measured_protocols, read_metrics
from spnet.files import write_bytes
from spnet.models.hub import WEIGHTS_NAME, parse_hub_name
from spnet.paper.results.metrics import METRICS, format_metric
from spnet.runs.folder import CONFIG_NAME, CURVES
from spnet.runs.index import Run, RunIndex, RunState
from spnet.runs.record import RECORD_NAME

MISMATCH_MARK = "*"  # behind metrics of another version of the evaluator
SHOWN = ("recall", "AP@0.5", "mAP", "top-1", "GT mAP")
Value = str | float | None


@dataclass(frozen=True)
class Line:
    """A run with one of its evaluations, if it has any.

    Args:
        name: the run's path below the folder that was looked through.
        run: how it stands.
        started_from: the run or file whose weights it started from, or its backbone's weights.
        hours: of training, if it is finished and was timed.
        evaluation: data, split and pathway at test time, as the evaluation's folder is called.
        protocol: the retrieval protocol.
        metrics: in percent; none where they cannot be read.
        evaluator_mismatch: measured by another version of the evaluator.
    """

    name: str
    run: Run
    started_from: str = ""
    hours: float | None = None
    evaluation: str = ""
    protocol: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    evaluator_mismatch: bool = False

    def files(self) -> dict[str, Path]:
        """Configuration and weights, if they are there."""
        files = {"config": self.run.folder / CONFIG_NAME, "weights": self.run.folder / WEIGHTS_NAME}
        return {name: file for name, file in files.items() if file.is_file()}


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        value: what stands in it; None: nothing.
        metric: key of METRICS where it is one.
        describes: says how a run was made or measured; one value for all runs need not be repeated.
    """

    value: Callable[[Line], Value]
    metric: str | None = None
    describes: bool = True

    def text(self, line: Line) -> str:
        """What is printed."""
        value = self.value(line)
        if self.metric is None or value is None:
            return "" if value is None else str(value)
        mark = MISMATCH_MARK if line.evaluator_mismatch and self.metric in SHOWN else ""
        return format_metric(self.metric, float(value)) + mark

    def order(self, line: Line) -> tuple[bool, float, str]:
        """Sorts lines: the best metric first, what is missing last."""
        value = self.value(line)
        if isinstance(value, str):
            return False, 0.0, value.casefold()
        sign = 1 if self.metric is None or METRICS[self.metric].less_is_better else -1
        return value is None, sign * (value or 0.0), ""


def _of_config(read: Callable[[RunConfig], Value]) -> Column:
    return Column(lambda line: read(line.run.config) if line.run.config else None)


def _architecture(config: RunConfig) -> str:
    """In the words of Table 7, and of Table 9 where logits are not those of SPNet-S."""
    model = config.model
    name = f"c{model.cascade_steps}-{'share' if model.heads == 'shared' else 'sep'}-d{model.reid_dim}"
    norm, sign = "Fixed" if model.logit_norm == "fixed" else "Batch", "-" if model.logit_sign == "negative" else "+"
    logits = f"{norm}Norm ({sign})"
    return name if logits == "FixedNorm (-)" else f"{name}, {logits}"


def _metric(name: str) -> Column:
    return Column(lambda line: line.metrics.get(name), name, describes=False)


COLUMNS: dict[str, Column] = {
    "run": Column(lambda line: line.name, describes=False),
    "state": Column(lambda line: str(line.run.state), describes=False),
    "pathway": _of_config(lambda config: config.objective.pathway),
    "stage": _of_config(lambda config: "pre-training" if config.stage == "pretrain" else "fine-tuning"),
    "architecture": _of_config(_architecture),
    "backbone": _of_config(lambda config: config.model.backbone.name),
    "data": _of_config(lambda config: f"{Path(config.data.root).name} {config.data.train_split}"),
    "seed": _of_config(lambda config: config.seed),
    "started from": Column(lambda line: line.started_from or None),
    "hours": Column(lambda line: line.hours, "hours", describes=False),
    "evaluation": Column(lambda line: line.evaluation or None),
    "protocol": Column(lambda line: line.protocol or None),
    **{metric: _metric(metric) for metric in SHOWN},
}


def list_runs(folder: Path, sort_by: str = "run") -> tuple[list[Line], list[str]]:
    """A line for each evaluation of each run below a folder, or a run without any; and the problems, each with its run.

    Raises UserError for a folder that is missing or holds no run, or a column there is not.
    """
    names = {name.casefold(): column for name, column in COLUMNS.items()}
    if sort_by.casefold() not in names:
        raise UserError(f"--sort {sort_by}: there is no such column; choose {', '.join(map(repr, COLUMNS))}")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    lines: list[Line] = []
    problems: list[str] = []
    for run in RunIndex(folder).runs:
        name = run.folder.relative_to(folder).as_posix()
        of_run = [*run.problems, *_advice(run)]
        lines += _lines(name, run, folder, of_run)
        own = (problem.replace(f"{run.folder}{os.sep}", "") for problem in of_run)  # the name says which run
        problems += [f"{name}: {problem}" for problem in dict.fromkeys(own)]
    if not lines:
        raise UserError(f"{folder}: no run is there (no folder below it has a {CONFIG_NAME})")
    by_name = sorted(lines, key=lambda line: line.name)
    return sorted(by_name, key=names[sort_by.casefold()].order), problems


def write_csv(file: Path, lines: Sequence[Line]) -> None:
    """Write all columns with their values as they are, and each run's folder. Raises UserError where that cannot be."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, "folder"])
    writer.writerows([*(column.value(line) for column in COLUMNS.values()), line.run.folder] for line in lines)
    write_bytes(file, text.getvalue().encode())


def _advice(run: Run) -> Iterator[str]:
    """What there is to say about the state of a run."""
    if run.state == RunState.INTERRUPTED:
        yield f"interrupted{_last_step(run.folder)}, or still running; go on with: spnet train --resume {run.folder}"
    elif run.state == RunState.STARTED:
        yield "nothing is saved: it is at its beginning, or was stopped there"
    elif run.state == RunState.DAMAGED:
        yield run.reason
    elif run.reason:
        yield f"{run.state}: {run.reason}"


def _last_step(run: Path) -> str:
    try:
        step = int((run / CURVES).read_text().splitlines()[-1].partition(",")[0])
    except (OSError, ValueError, IndexError):
        return ""
    return f" after step {step}"


def _lines(name: str, run: Run, root: Path, problems: list[str]) -> list[Line]:
    """The lines of one run; what is wrong is added to its problems."""
    line = Line(name, run, _started_from(run.config, root) if run.config else "", _hours(run, problems))
    folders = sorted(one for one in (run.folder / "evaluation").glob("*") if one.is_dir())
    return [one for folder in folders for one in _evaluations(line, folder, problems)] or [line]


def _hours(run: Run, problems: list[str]) -> float | None:
    if run.state != RunState.FINISHED or run.record is None:
        return None
    seconds = run.record.seconds
    if not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        problems.append(f"{RECORD_NAME} is damaged: seconds {seconds!r}")
        return None
    return seconds / 3600 or None  # 0: it was not timed


def _started_from(config: RunConfig, folder: Path) -> str:
    """A run or a file, below `folder` if it is; else the backbone's weights in words."""
    backbone = config.model.backbone.weights
    if config.weights.init_from is None and not Path(backbone).is_file():
        return {"none": "random weights", "imagenet": "ImageNet classifier"}.get(backbone, backbone)
    if parse_hub_name(config.weights.init_from or backbone):
        return str(config.weights.init_from)
    source, root = Path(config.weights.init_from or backbone).resolve(), folder.resolve()
    return source.relative_to(root).as_posix() if source.is_relative_to(root) else str(source)


def _evaluations(line: Line, folder: Path, problems: list[str]) -> Iterator[Line]:
    """The line with each protocol of an evaluation; one without metrics where its file cannot be read."""
    file = folder / METRICS_NAME
    try:
        protocols = measured_protocols(file)
    except UserError as error:
        problems.append(str(error))
        protocols = [""]
    for protocol in protocols:
        metrics, mismatch = dict[str, float](), False
        try:
            metrics = read_metrics(file, protocol) if protocol else metrics
        except EvaluatorMismatch as error:
            problems.append(str(error))
            metrics, mismatch = error.metrics, True
        except UserError as error:
            problems.append(str(error))
        yield Line(line.name, line.run, line.started_from, line.hours, folder.name, protocol, metrics, mismatch)
