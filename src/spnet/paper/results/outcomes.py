"""What came out of a table's runs, as it is written to a file, plotted, and put beside the paper's metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from pydantic import TypeAdapter

from spnet.errors import UserError

Columns = tuple[tuple[str, tuple[str, ...]], ...]  # data sets with their metrics


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
    own: Mapping[str, Mapping[str, Sequence[float]]]
    at: tuple[str, str] | None = None
    problems: tuple[str, ...] = ()

    def of_paper(self, data: str, metric: str) -> float | None:
        """The paper's value, if there is one."""
        return self.paper.get(data, {}).get(metric)

    def of_ours(self, data: str, metric: str) -> Sequence[float]:
        """Our values, one a seed; none if nothing was measured."""
        return self.own.get(data, {}).get(metric, ())


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
    paper_columns: Columns
    own_columns: Columns
    rows: tuple[RowOutcome, ...]
    facts: Mapping[str, str]


def mean_std(values: Sequence[float]) -> tuple[float, float | None] | None:
    """Mean and standard deviation over seeds; no deviation of one seed, nothing of none."""
    if not values:
        return None
    return mean(values), stdev(values) if len(values) > 1 else None


def read_outcome(file: Path) -> Outcome:
    """Read the JSON file of a result. Raises UserError for a file that is none."""
    try:
        return TypeAdapter(Outcome).validate_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: no result of `spnet reproduce` ({type(error).__name__})") from None
