"""Results that nobody measured, to test how results are shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from spnet.paper.figures import get_table
from spnet.paper.results.outcomes import Outcome, RowOutcome

FACTS = {"scale": "small", "seeds": "0, 1, 2", "hardware": "CPU, 2 cores"}


def row(name: str, paper: float | None, own: Sequence[float], **more: Any) -> RowOutcome:
    """A row of mAP on PRW."""
    return RowOutcome(
        name, {} if paper is None else {"PRW": {"mAP": paper}}, {"PRW": {"mAP": list(own)}} if own else {}, **more
    )


def outcome(*rows: RowOutcome, **fields: Any) -> Outcome:
    """A table of mAP on PRW."""
    columns = (("PRW", ("mAP",)),)
    given: dict[str, Any] = {
        "key": "table0",
        "title": "A table",
        "note": "",
        "chart": None,
        "gains": (),
        "facts": FACTS,
    }
    given |= {"paper_columns": columns, "own_columns": columns}
    return Outcome(rows=rows, **(given | fields))


def outcome_of(key: str, own: Mapping[str, float], seeds: int = 3, data: str | None = None) -> Outcome:
    """A table of the paper; every metric of a row is its figure in `own`, a point more with each seed.

    `data` stands for all data sets, as synthetic scenes do at small scale.
    """
    paper = get_table(key)
    metrics = paper.columns[0][1]
    columns = paper.columns if data is None else ((data, metrics),)
    rows = [
        RowOutcome(
            one.name,
            one.paper,
            {name: {metric: [own[one.name] + seed for seed in range(seeds)] for metric in ms} for name, ms in columns}
            if one.name in own
            else {},
            one.at,
        )
        for one in paper.rows
    ]
    return outcome(
        *rows,
        key=key,
        title=paper.title,
        note=paper.note,
        chart=paper.chart,
        gains=paper.gains,
        paper_columns=paper.columns,
        own_columns=columns,
    )
