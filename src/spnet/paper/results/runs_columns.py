"""The columns of the table of runs: what stands in them, how it is printed, and which end of them is the best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.paper.results.metrics import METRICS, figure
from spnet.paper.results.runs_table import Evaluation, Run

EVALUATOR_MISMATCH = "*"  # behind figures of another version of the evaluator
FIGURES = ("recall", "AP@0.5", "mAP", "top-1", "GT mAP")
Value = str | float | None


@dataclass(frozen=True)
class Line:
    """A run with one of its evaluations, if it has any."""

    run: Run
    evaluation: Evaluation | None


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        value: what stands in it; None: nothing.
        metric: of figures: the key of METRICS.
        describes: it says how a run was made or measured; one value for all runs need not be repeated.
    """

    value: Callable[[Line], Value]
    metric: str | None = None
    describes: bool = True

    @property
    def best_first(self) -> int:
        """1 where the best is the lowest or the first of the alphabet, -1 where it is the highest."""
        return 1 if self.metric is None or METRICS[self.metric].less_is_better else -1

    def text(self, line: Line) -> str:
        """What is printed."""
        value = self.value(line)
        if self.metric is None:
            return "" if value is None else str(value)
        if value is None:
            return ""
        other = self.metric in FIGURES and line.evaluation is not None and line.evaluation.evaluator_mismatch
        return figure(self.metric, float(value)) + (EVALUATOR_MISMATCH if other else "")


def _of_config(read: Callable[[RunConfig], Value]) -> Column:
    return Column(lambda line: read(line.run.config) if line.run.config else None)


def _of_evaluation(read: Callable[[Evaluation], Value]) -> Column:
    return Column(lambda line: (read(line.evaluation) or None) if line.evaluation else None)


def _figure(metric: str) -> Column:
    def read(line: Line) -> Value:
        return line.evaluation.figures.get(metric) if line.evaluation and line.evaluation.figures else None

    return Column(read, metric, describes=False)


def _architecture(config: RunConfig) -> str:
    """In the words of Table 7, and of Table 9 where logits are not those of SPNet-S."""
    model = config.model
    name = f"c{model.cascade_steps}-{'share' if model.heads == 'shared' else 'sep'}-d{model.reid_dim}"
    norm, sign = "Fixed" if model.logit_norm == "fixed" else "Batch", "-" if model.logit_sign == "negative" else "+"
    logits = f"{norm}Norm ({sign})"
    return name if logits == "FixedNorm (-)" else f"{name}, {logits}"


COLUMNS: dict[str, Column] = {
    "run": Column(lambda line: line.run.name, describes=False),
    "state": Column(lambda line: line.run.state, describes=False),
    "pathway": _of_config(lambda config: config.objective.pathway),
    "stage": _of_config(lambda config: "pre-training" if config.stage == "pretrain" else "fine-tuning"),
    "architecture": _of_config(_architecture),
    "backbone": _of_config(lambda config: config.model.backbone.name),
    "data": _of_config(lambda config: f"{Path(config.data.root).name} {config.data.train_split}"),
    "seed": _of_config(lambda config: config.seed),
    "started from": Column(lambda line: line.run.started_from or None),
    "hours": Column(lambda line: line.run.hours, "hours", describes=False),
    "evaluation": _of_evaluation(lambda evaluation: evaluation.name),
    "protocol": _of_evaluation(lambda evaluation: evaluation.protocol),
    **{metric: _figure(metric) for metric in FIGURES},
}


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """A line for each evaluation of each run; one for a run without."""
    return [Line(run, evaluation) for run in runs for evaluation in run.evaluations or (None,)]


def column_name(wanted: str) -> str:
    """The column somebody means. Raises UserError with the choices."""
    for name in COLUMNS:
        if name.casefold() == wanted.casefold():
            return name
    raise UserError(f"--sort {wanted}: there is no such column; choose {', '.join(map(repr, COLUMNS))}")


def sort_lines(lines: Sequence[Line], by: str) -> list[Line]:
    """Lines by a column, the best figure first; those that have nothing there come last."""
    column = COLUMNS[by]
    known = [line for line in lines if column.value(line) is not None]
    return sorted(known, key=lambda line: _order(column, line)) + [line for line in lines if column.value(line) is None]


def _order(column: Column, line: Line) -> tuple[float, str]:
    value = column.value(line)
    return (0.0, value.casefold()) if isinstance(value, str) else (column.best_first * float(value or 0), "")
