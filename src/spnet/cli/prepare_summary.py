"""What `spnet prepare` prints of a data set it wrote."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from spnet.data.converters.summary import ConvertedDataset, ExpectedCount
from spnet.data.schema import ProtocolRecord, Split


def print_summary(output: Path, converted: ConvertedDataset, console: Console | None = None) -> None:
    """Print the counts of each split and protocol, the paper's counts, and everything that was left out."""
    console = console or Console(highlight=False, soft_wrap=True)
    console.print(_split_table(converted.splits))
    if converted.protocols:
        console.print(_protocol_table(converted.protocols))
    if converted.expected_counts:
        console.print(_expected_count_table(converted.expected_counts))
    for reason, count in converted.dropped.items():
        console.print(f"left out: {count:,} {reason}", markup=False)
    for note in converted.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"wrote {output}", markup=False)


def new_table(*columns: str, no_wrap: bool = False) -> Table:
    """A table of counts, each row with its name first."""
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right", no_wrap=no_wrap)
    return table


def _split_table(splits: Mapping[str, Split]) -> Table:
    table = new_table("split", "scenes", "boxes", "known", "unknown", "identities")
    for name, split in splits.items():
        known = [record["person_id"] for record in split.annotations if record["is_known"]]
        boxes = len(split.annotations)
        counts = (len(split.images), boxes, len(known), boxes - len(known), len(set(known)))
        table.add_row(name, *(f"{count:,}" for count in counts))
    return table


def _protocol_table(protocols: Mapping[str, ProtocolRecord]) -> Table:
    table = new_table("protocol", "queries", "gallery scenes", "gallery of a query")
    for name, protocol in protocols.items():
        queries, images = protocol["queries"], protocol["images"]
        sizes = [len(gallery) for gallery in queries.values()] if isinstance(queries, dict) else [len(images)]
        span = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
        table.add_row(name, f"{len(queries):,}", f"{len(images):,}", span)
    return table


def _expected_count_table(expected_counts: list[ExpectedCount]) -> Table:
    table = new_table("count", "here", "paper", "")
    for expected in expected_counts:
        table.add_row(expected.name, f"{expected.ours:,}", expected.paper, "" if expected.agrees else "DIFFERS")
    return table
