"""`spnet runs FOLDER`: one table of all runs below a folder, with what each reached and what is wrong with it."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

    from spnet.paper.results.runs_table import Line

SUMMARY = "list all runs below a folder: how they were trained, what they reached"

LONG = ("run", "data", "started from", "evaluation")  # columns that may be broken where a terminal is narrow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet runs`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the runs are, at any depth")
    parser.add_argument(
        "--sort", metavar="COLUMN", default="run", help="by this column, the best metric first (default: %(default)s)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV too")


def run(arguments: argparse.Namespace) -> None:
    """Read, sort, write, print. Raises UserError for a folder without runs, an unknown column, a file not written."""
    from rich.console import Console

    from spnet.evaluation.metrics_file import EVALUATOR_VERSION
    from spnet.paper.results.runs_table import MISMATCH_MARK, list_runs, write_csv

    lines, notes = list_runs(arguments.folder, arguments.sort)
    if any(line.evaluator_mismatch for line in lines):
        notes.append(f"{MISMATCH_MARK} measured with another version of the evaluator than {EVALUATOR_VERSION}")
    if arguments.csv:
        write_csv(arguments.csv, lines)
        notes.append(f"table: {arguments.csv}")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # a file or a pipe has no edge to break lines at
    table, shared = _table(lines)
    count = len({line.name for line in lines})
    title = f"{count} run{'s' if count > 1 else ''} below {arguments.folder}"
    console.print(title + (f"; all: {shared}" if shared else ""), markup=False)
    console.print(table)
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)


def _table(lines: Sequence["Line"]) -> tuple["Table", str]:
    """The table; and what is the same in all lines, which need not stand in each."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from spnet.paper.results.runs_table import COLUMNS

    table, shown, shared = Table(box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True), [], []
    for name, column in COLUMNS.items():
        texts = {column.text(line) for line in lines}
        if column.describes and len(lines) > 1 and len(texts) == 1:
            shared += [f"{name} {text}" for text in texts if text]
            continue
        shown.append(column)
        justify: JustifyMethod = "right" if column.metric else "left"
        table.add_column(name, justify=justify, no_wrap=name not in LONG, overflow="fold")
    table.add_column("files", no_wrap=True)
    for line in lines:
        files = [Text(name, style=f"link {file.resolve().as_uri()}") for name, file in line.files().items()]
        table.add_row(*(Text(column.text(line)) for column in shown), Text(" ").join(files))
    return table, ", ".join(shared)
