"""`spnet experiments`: every table and figure that can be run, with the paper's figures and one's own."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spnet.errors import UserError

if TYPE_CHECKING:
    from spnet.paper.results.outcomes import Outcome
    from spnet.paper.rows.paper_table import PaperTable, Row, Scale

SUMMARY = "list the paper's tables and figures: command, cost, the paper's figures, one's own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet experiments`."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--table", metavar="N", help="this table alone: 4 to 9, main, speed, fractions")
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

    from spnet.paper.rows.figures import PAPER_TABLES, exhibit
    from spnet.paper.rows.scales import paper_scale

    chosen = [exhibit(_key(arguments))] if arguments.table or arguments.figure else list(PAPER_TABLES.values())
    scale, console, notes = paper_scale(), Console(), []
    for one in chosen:
        try:
            own = _own(arguments.results / f"{one.key}.json")
        except UserError as error:
            own = None
            notes.append(str(error))
        console.print(_table(one, scale, own))
        print(f"  spnet reproduce {one.key} --data cocopersons=DIR cuhk-sysu=DIR prw=DIR")
        print(f"  spnet reproduce {one.key} --data synthetic --scale small")
        print(f"  one row alone: --rows {one.rows[-1].name!r}\n")
    for note in notes:
        print(f"note: {note}")


def _key(arguments: argparse.Namespace) -> str:
    wanted: str = arguments.table or arguments.figure
    return f"{'table' if arguments.table else 'figure'}{wanted}" if wanted.isdecimal() else wanted


def _own(file: Path) -> "Outcome | None":
    from spnet.paper.results.outcomes import read_outcome

    return read_outcome(file) if file.exists() else None


def _table(exhibit: "PaperTable", scale: "Scale", own: "Outcome | None") -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    caption = (
        f"own results: scale {own.facts['scale']}, seeds {own.facts['seeds']}, {own.facts['date']}" if own else None
    )
    table = Table(title=exhibit.heading, caption=caption, box=SIMPLE_HEAD, title_justify="left")
    for heading in ("row", "paper", "own", "hours of an A100"):
        table.add_column(heading)
    results = {row.name: row for row in own.rows} if own else {}
    for row in exhibit.rows:
        mine = results.get(row.name)
        table.add_row(row.name, _paper(row), _spreads(mine.own) if mine else "", _cost(row, exhibit, scale))
    return table


def _paper(row: "Row") -> str:
    lines = [
        f"{title}: " + ", ".join(f"{name} {value}" for name, value in at.items()) for title, at in row.paper.items()
    ]
    return "\n".join(lines)


def _spreads(own: Any) -> str:
    from spnet.paper.results.metrics import format_mean_std

    return "\n".join(
        f"{title}: " + ", ".join(f"{name} {format_mean_std(name, values)}" for name, values in at.items())
        for title, at in own.items()
    )


def _cost(row: "Row", exhibit: "PaperTable", scale: "Scale") -> str:
    from spnet.paper.rows.cost import cost_of_row

    before, after = cost_of_row(row, exhibit, scale)
    return " + ".join(f"{hours:g}" for hours in (before, after) if hours) or "0"
