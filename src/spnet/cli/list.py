"""`spnet list`: every table and figure that can be run, with the paper's metrics and one's own."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from spnet.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from spnet.paper.paper_table import PaperTable, Scale
    from spnet.paper.results.outcomes import Outcome

Value = TypeVar("Value")

SUMMARY = "list the paper's tables and figures: command, cost, the paper's metrics, one's own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet list`."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--table", metavar="N", help="this table alone: 3 to 9, main, speed, fractions")
    chosen.add_argument("--figure", metavar="N", help="this figure alone: 7 or 8")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="where `spnet reproduce` wrote (default %(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """List them. Raises UserError for a table there is not."""
    from rich.console import Console

    from spnet.paper.figures import PAPER_TABLES, get_table
    from spnet.paper.results.outcomes import read_outcome
    from spnet.paper.scales import paper_scale

    chosen = [get_table(_key(arguments))] if arguments.table or arguments.figure else list(PAPER_TABLES.values())
    scale, console, notes = paper_scale(), Console(), []
    for paper in chosen:
        file, own = arguments.results / f"{paper.key}.json", None
        try:
            own = read_outcome(file) if file.exists() else None
        except UserError as error:
            notes.append(str(error))
        console.print(_table(paper, scale, own))
        print(f"  spnet reproduce {paper.key} --data cocopersons=DIR cuhk-sysu=DIR prw=DIR")
        print(f"  spnet reproduce {paper.key} --data synthetic --scale small")
        print(f"  one row alone: --rows {paper.rows[-1].name!r}\n")
    for note in notes:
        print(f"note: {note}")


def _key(arguments: argparse.Namespace) -> str:
    wanted: str = arguments.table or arguments.figure
    return f"{'table' if arguments.table else 'figure'}{wanted}" if wanted.isdecimal() else wanted


def _table(paper: "PaperTable", scale: "Scale", own: "Outcome | None") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from spnet.paper.cost import cost_of_row
    from spnet.paper.results.metrics import format_mean_std

    caption = (
        f"own results: scale {own.facts['scale']}, seeds {own.facts['seeds']}, {own.facts['date']}" if own else None
    )
    table = Table(title=paper.heading, caption=caption, box=SIMPLE_HEAD, title_justify="left")
    for heading in ("row", "paper", "own", "hours of an A100"):
        table.add_column(heading)
    results = {row.name: row.own for row in own.rows} if own else {}
    for row in paper.rows:
        cost = " + ".join(f"{hours:g}" for hours in cost_of_row(row, paper, scale) if hours) or "0"
        measured = _lines(results.get(row.name, {}), format_mean_std)
        table.add_row(row.name, _lines(row.paper, lambda metric, value: str(value)), measured, cost)
    return table


def _lines(metrics: Mapping[str, Mapping[str, Value]], show: Callable[[str, Value], str]) -> str:
    """A line a data set, each metric with its name."""
    return "\n".join(
        f"{data}: " + ", ".join(f"{metric} {show(metric, value)}" for metric, value in at.items())
        for data, at in metrics.items()
    )
