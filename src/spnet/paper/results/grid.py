"""What a result's table says, before it is written in any language: headings, lines of printed metrics, footnotes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spnet.paper.results.metrics import METRICS, format_mean_std, format_metric
from spnet.paper.results.outcomes import Columns, Outcome, RowOutcome

MARK = "*"  # behind the name of a row with a footnote, and before the footnote
Pair = tuple[str, str]  # data set and metric


@dataclass(frozen=True)
class Heading:
    """Columns that belong together.

    Args:
        source: `paper` or `ours`.
        data: the data set.
        titles: of the metrics, one a column.
    """

    source: str
    data: str
    titles: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Args:
        name: of the row.
        cells: a printed value a column.
        gain: the difference of two rows.
    """

    name: str
    cells: tuple[str, ...]
    gain: bool = False


@dataclass(frozen=True)
class Grid:
    """The table.

    Args:
        headings: of all columns, the paper's first.
        lines: from top to bottom.
        notes: what our metrics are, a mean of how many seeds, and the footnotes, each with the name of its row.
        facts: what a reader must know, each with its name.
    """

    headings: tuple[Heading, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]
    facts: tuple[str, ...]


def make_grid(outcome: Outcome) -> Grid:
    """The table of a result; the paper's columns are those in which it has a value."""
    rows, own = outcome.rows, _pairs(outcome.own_columns)
    paper = [pair for pair in _pairs(outcome.paper_columns) if any(row.of_paper(*pair) is not None for row in rows)]
    seeds = {pair: max((len(row.of_ours(*pair)) for row in rows), default=0) for pair in own}
    lines: list[Line] = []
    notes = [_describe_seeds(max(seeds.values(), default=0))]
    above: dict[str, RowOutcome] = {}
    for row in rows:
        footnotes = [f"{MARK} {row.name}: {note}" for note in _footnotes(row, seeds)]
        notes += footnotes
        cells = [format_metric(metric, row.of_paper(data, metric)) for data, metric in paper]
        cells += [format_mean_std(metric, row.of_ours(data, metric)) for data, metric in own]
        lines.append(Line(f"{row.name} {MARK}" if footnotes else row.name, tuple(cells)))
        above[row.name] = row
        for name, of, over in outcome.gains:  # a gain stands below the later of its two rows
            if row.name in (of, over) and {of, over} <= above.keys():
                lines.append(Line(name, tuple(_gains(above[of], above[over], paper, seeds)), gain=True))
    headings = (*_headings("paper", outcome.paper_columns, paper), *_headings("ours", outcome.own_columns, own))
    facts = tuple(f"{name}: {value}" for name, value in outcome.facts.items())
    return Grid(headings, tuple(lines), tuple(notes), facts)


def _pairs(columns: Columns) -> list[Pair]:
    return [(data, metric) for data, metrics in columns for metric in metrics]


def _headings(source: str, columns: Columns, kept: Sequence[Pair]) -> Iterator[Heading]:
    for data, metrics in columns:
        if titles := tuple(METRICS[metric].title for metric in metrics if (data, metric) in kept):
            yield Heading(source, data, titles)


def _footnotes(row: RowOutcome, seeds: Mapping[Pair, int]) -> Iterator[str]:
    """Where a row has fewer seeds than the others, and its problems."""
    counts = {pair: len(row.of_ours(*pair)) for pair in seeds}
    fewer = [f"{counts[pair]} of {most} seeds on {pair[0]}" for pair, most in seeds.items() if 0 < counts[pair] < most]
    yield from dict.fromkeys(fewer)
    yield from (" ".join(problem.split()) for problem in row.problems)


def _describe_seeds(most: int) -> str:
    if most == 0:
        return "ours: nothing is measured yet"
    return "ours: one seed" if most == 1 else f"ours: mean ± standard deviation of {most} seeds"


def _gains(high: RowOutcome, low: RowOutcome, paper: Sequence[Pair], seeds: Mapping[Pair, int]) -> Iterator[str]:
    """What a row gains over another, column by column."""
    for data, metric in paper:
        first, second = high.of_paper(data, metric), low.of_paper(data, metric)
        difference = None if first is None or second is None else first - second
        yield format_metric(metric, difference, signed=True)
    for (data, metric), most in seeds.items():
        yield _own_gain(metric, high.of_ours(data, metric), low.of_ours(data, metric), most)


def _own_gain(metric: str, first: Sequence[float], second: Sequence[float], seeds: int) -> str:
    """Mean and spread of the differences seed by seed; where seeds are missing there are no pairs, and only a mean."""
    if not first or not second:
        return format_metric(metric, None)
    if len(first) == len(second) == seeds:
        return format_mean_std(metric, [a - b for a, b in zip(first, second, strict=True)], signed=True)
    return format_metric(metric, sum(first) / len(first) - sum(second) / len(second), signed=True)
