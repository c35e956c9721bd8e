"""What `spnet inspect` prints."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spnet.cli.prepare_summary import new_table
from spnet.data import inspection
from spnet.data.contact_sheet import save_contact_sheet
from spnet.data.schema import Annotations
from spnet.errors import UserError
from spnet.evaluation.protocols import read_protocols
from spnet.progress import show_progress


def print_inspection(arguments: argparse.Namespace) -> None:
    """Print counts and problems, render the sheet. Raises UserError where there are problems, after listing all."""
    console = Console(highlight=False, soft_wrap=True)
    splits, problems = inspection.read_splits(arguments.folder)
    counts = {name: inspection.count(annotations) for name, annotations in splits.items()}
    console.print(_counts_table(counts))
    console.print(_sizes_table(counts))
    problems += inspection.find_id_conflicts(splits)
    problems += _check_protocols(arguments.folder, splits, console)
    problems += _check_images(arguments, splits, console)
    for problem in problems:
        console.print(f"problem: {problem}", markup=False)
    if problems:
        raise UserError(f"{arguments.folder}: {len(problems)} problems, listed above")
    console.print("no problems found" + ("" if arguments.decode else " (images not read: see --decode)"))


def _counts_table(counts: Mapping[str, inspection.Counts]) -> Table:
    table = new_table("split", "scenes", "empty", "cameras", "boxes", "known", "identities", "seen once", no_wrap=True)
    for name, row in counts.items():
        numbers = (row.scenes, row.empty_scenes, row.cameras, row.boxes, row.known_boxes, row.identities, row.singles)
        table.add_row(name, *(f"{number:,}" for number in numbers))
    return table


def _sizes_table(counts: Mapping[str, inspection.Counts]) -> Table:
    columns = ("boxes, pixels", "width 5 %", "50 %", "95 %", "height 5 %", "50 %", "95 %", "over the edge")
    table = new_table(*columns, no_wrap=True)
    for name, row in counts.items():
        table.add_row(name, *(f"{size:.0f}" for size in (*row.widths, *row.heights)), f"{row.over_the_edge:,}")
    return table


def _check_protocols(folder: Path, splits: Mapping[str, Annotations], console: Console) -> list[str]:
    problems = []
    for path in sorted((folder / "retrieval").glob("*.json")):
        try:
            protocols = read_protocols(path)
        except UserError as error:
            problems.append(str(error))
            continue
        for name, protocol in protocols.items():
            scenes = protocol.listed_scenes()
            console.print(f"protocol {name}: {len(protocol.queries):,} queries, {len(scenes):,} scenes")
            problems += inspection.find_invalid_queries(name, protocol.queries, scenes, splits)
    return problems


def _check_images(arguments: argparse.Namespace, splits: Mapping[str, Annotations], console: Console) -> Sequence[str]:
    missing = inspection.find_missing(splits)
    if missing or not splits:
        return missing
    problems = _read_all(splits, arguments.num_workers or os.cpu_count() or 1) if arguments.decode else []
    sheet = arguments.contact_sheet or arguments.folder / "contact_sheet.jpg"
    try:
        save_contact_sheet(splits, sheet)
        console.print(f"wrote {sheet}", markup=False)
    except UserError as error:
        problems += [str(error)] if str(error) not in problems else []
    return problems


def _read_all(splits: Mapping[str, Annotations], num_workers: int) -> list[str]:
    images = inspection.list_images(splits)
    results = show_progress(inspection.read_images(images, num_workers), "reading", len(images))
    return [problem for problem in results if problem]
