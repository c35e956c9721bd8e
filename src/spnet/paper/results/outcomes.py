"""What came out of a table's runs, as it is written to a file, plotted, and put beside the paper's metrics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from spnet.errors import UserError
from spnet.files import write_json

Measured = Mapping[str, Mapping[str, Sequence[float]]]  # data set -> metric -> a value a seed, those there are


@dataclass(frozen=True)
class RowOutcome:
    """One row: the paper's metrics and ours, in the same units (percent, hours, milliseconds).

    Args:
        name: the row's.
        paper: data set -> metric -> the paper's figure.
        own: data set -> metric -> ours, one a finished seed.
        at: for figures: the place on the axis, and the series.
        problems: what keeps metrics from being there, a line each, with the name of the run.
    """

    name: str
    paper: Mapping[str, Mapping[str, float]]
    own: Measured
    at: tuple[str, str] | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """A table with everything that is known of it.

    Args:
        key, title, note, chart, gains: the table's.
        paper_columns: data sets and metrics of the paper.
        own_columns: data sets and metrics of our runs; synthetic scenes stand for both data sets at small scale.
        rows: in the table's order.
        facts: scale, seeds, data, hardware, versions, date, seconds: what a reader must know, by name.
    """

    key: str
    title: str
    note: str
    chart: str | None
    gains: tuple[tuple[str, str, str], ...]
    paper_columns: tuple[tuple[str, tuple[str, ...]], ...]
    own_columns: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[RowOutcome, ...]
    facts: Mapping[str, str]


def mean_std(values: Sequence[float]) -> tuple[float, float | None] | None:
    """Mean and standard deviation over seeds; no deviation of one seed, nothing of none."""
    if not values:
        return None
    return mean(values), stdev(values) if len(values) > 1 else None


def write_outcome(file: Path, outcome: Outcome) -> None:
    """Write it as JSON. Raises UserError where that cannot be."""
    write_json(file, asdict(outcome))


def read_outcome(file: Path) -> Outcome:
    """Read what `write_outcome` wrote. Raises UserError for a file that is none."""
    try:
        content: dict[str, Any] = _with_tuples(json.loads(file.read_text()))
        rows = tuple(RowOutcome(**row) for row in content.pop("rows"))
        return Outcome(rows=rows, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{file}: no result of `spnet reproduce` ({type(error).__name__})") from None


def _with_tuples(value: object) -> Any:
    """JSON knows lists alone."""
    if isinstance(value, list):
        return tuple(map(_with_tuples, value))
    return {name: _with_tuples(inner) for name, inner in value.items()} if isinstance(value, dict) else value
