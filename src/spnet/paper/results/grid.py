"""What a result's table says, before it is written in any language: headings, lines of printed metrics, footnotes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spnet.paper.results.metrics import METRICS, format_mean_std, format_metric
from spnet.paper.results.outcomes import Outcome, RowOutcome

Columns = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Heading:
    """Columns that belong together.

    Args:
        source: `paper` or `ours`.
        data: the data set.
        metrics: keys of METRICS, one a column.
    """

    source: str
    data: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        name: of the row.
        cells: a printed value a column.
        noted: there is a footnote on it.
        gain: the difference of two rows.
    """

    name: str
    cells: tuple[str, ...]
    noted: bool = False
    gain: bool = False


@dataclass(frozen=True)
class Grid:
    """The table.

    Args:
        headings: of all columns, the paper's first.
        lines: from top to bottom.
        footnotes: each with the name of the row it is on.
        seeds: what our metrics are: a mean of how many.
    """

    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    footnotes: tuple[str, ...]
    seeds: str


def make_grid(outcome: Outcome) -> Grid:
    """The table of a result; the paper's columns are those in which it has a value."""
    paper, own = _known_of_paper(outcome), _pairs(outcome.own_columns)
    notes = {row.name: list(_notes(row, outcome.rows, own)) for row in outcome.rows}
    lines = []
    for row in outcome.rows:
        cells = [format_metric(metric, row.paper.get(data, {}).get(metric)) for data, metric in paper]
        cells += [format_mean_std(metric, seeds_of(row, data, metric)) for data, metric in own]
        lines.append(Line(row.name, tuple(cells), bool(notes[row.name])))
        lines += _gains_after(row, outcome, paper, own)
    headings = (*_headings("paper", outcome.paper_columns, paper), *_headings("ours", outcome.own_columns, own))
    footnotes = tuple(f"{name}: {note}" for name, of_row in notes.items() for note in of_row)
    return Grid(headings, tuple(lines), footnotes, _seeds_note(outcome.rows, own))


def seeds_of(row: RowOutcome, data: str, metric: str) -> Sequence[float]:
    """Our values of a row, one a seed; none if nothing was measured."""
    return row.own.get(data, {}).get(metric, ())


def _pairs(columns: Columns) -> list[tuple[str, str]]:
    return [(data, metric) for data, metrics in columns for metric in metrics]


def _known_of_paper(outcome: Outcome) -> list[tuple[str, str]]:
    return [
        (data, metric)
        for data, metric in _pairs(outcome.paper_columns)
        if any(metric in row.paper.get(data, {}) for row in outcome.rows)
    ]


def _headings(source: str, columns: Columns, kept: Sequence[tuple[str, str]]) -> Iterator[Heading]:
    for data, metrics in columns:
        if there := tuple(metric for metric in metrics if (data, metric) in kept):
            yield Heading(source, data, there)


def _most(rows: Sequence[RowOutcome], data: str, metric: str) -> int:
    return max((len(seeds_of(row, data, metric)) for row in rows), default=0)


def _notes(row: RowOutcome, rows: Sequence[RowOutcome], own: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Where a row has fewer seeds than the others, and its problems."""
    fewer: list[str] = []
    for data, metric in own:
        count, most = len(seeds_of(row, data, metric)), _most(rows, data, metric)
        if 0 < count < most:
            fewer.append(f"{count} of {most} seeds on {data}")
    yield from dict.fromkeys(fewer)
    yield from (" ".join(problem.split()) for problem in row.problems)


def _seeds_note(rows: Sequence[RowOutcome], own: Sequence[tuple[str, str]]) -> str:
    most = max((_most(rows, data, metric) for data, metric in own), default=0)
    if most == 0:
        return "ours: nothing is measured yet"
    return "ours: one seed" if most == 1 else f"ours: mean ± standard deviation of {most} seeds"


def _gains_after(
    row: RowOutcome, outcome: Outcome, paper: Sequence[tuple[str, str]], own: Sequence[tuple[str, str]]
) -> Iterator[Line]:
    """The gains that stand below a row: those of it and an earlier one."""
    names = [one.name for one in outcome.rows]
    by_name = dict(zip(names, outcome.rows, strict=True))
    above = set(names[: names.index(row.name) + 1])
    for name, of, over in outcome.gains:
        if row.name in (of, over) and {of, over} <= above:
            high, low = by_name[of], by_name[over]
            cells = [_paper_gain(high.paper, low.paper, data, metric) for data, metric in paper]
            cells += [_own_gain(high, low, data, metric, _most(outcome.rows, data, metric)) for data, metric in own]
            yield Line(name, tuple(cells), gain=True)


def _paper_gain(
    high: Mapping[str, Mapping[str, float]], low: Mapping[str, Mapping[str, float]], data: str, metric: str
) -> str:
    ends = high.get(data, {}).get(metric), low.get(data, {}).get(metric)
    return format_metric(metric, None if ends[0] is None or ends[1] is None else ends[0] - ends[1], signed=True)


def _own_gain(high: RowOutcome, low: RowOutcome, data: str, metric: str, seeds: int) -> str:
    """Mean and spread of the differences seed by seed; where seeds are missing there are no pairs, and only a mean."""
    first, second = seeds_of(high, data, metric), seeds_of(low, data, metric)
    if not first or not second:
        return format_metric(metric, None)
    if len(first) == len(second) == seeds:
        return format_mean_std(metric, [a - b for a, b in zip(first, second, strict=True)], signed=True)
    return format_metric(metric, sum(first) / len(first) - sum(second) / len(second), signed=True)


def column_titles(grid: Grid) -> list[str]:
    """What stands over each column, in full."""
    return [f"{one.source} {one.data} {METRICS[metric].title}" for one in grid.headings for metric in one.metrics]
