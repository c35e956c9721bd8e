"""What every source hands back, and how it is told: counts, the paper's beside them, what was left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spnet.data.schema import Split


@dataclass(frozen=True)
class ExpectedCount:
    """A count that the paper states (supplementary section 7), ours beside it."""

    name: str
    ours: int
    paper: str  # as printed there: "2,057" is exact, "8.5k" is rounded

    @property
    def agrees(self) -> bool:
        """Whether ours is the paper's: exactly, or for a rounded figure within its rounding or 2 %."""
        if not self.paper.endswith("k"):
            return self.ours == int(self.paper.replace(",", ""))
        figure = self.paper.removesuffix("k")
        half_a_unit = 0.5 * 10.0 ** -len(figure.partition(".")[2])
        return abs(self.ours / 1000 - float(figure)) <= max(half_a_unit, 0.02 * float(figure))


@dataclass(frozen=True)
class ConvertedDataset:
    """A converted source, ready to be written."""

    splits: dict[str, Split]
    protocols: dict[str, dict[str, Any]]
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> number of records of the source left out
    facts: list[ExpectedCount] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what one should know about this conversion, a sentence each


def print_summary(output: Path, prepared: ConvertedDataset, console: Console | None = None) -> None:
    """Print the counts of each split and protocol, the paper's figures, and everything that was left out."""
    console = console or Console(highlight=False, soft_wrap=True)
    console.print(_split_table(prepared.splits))
    if prepared.protocols:
        console.print(_protocol_table(prepared.protocols))
    if prepared.facts:
        console.print(_fact_table(prepared.facts))
    for reason, count in prepared.dropped.items():
        console.print(f"left out: {count:,} {reason}", markup=False)
    for note in prepared.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"wrote {output}", markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    return table


def _split_table(splits: Mapping[str, Split]) -> Table:
    table = _table("split", "scenes", "boxes", "known", "unknown", "identities")
    for name, split in splits.items():
        known = [record["person_id"] for record in split.annotations if record["is_known"]]
        boxes = len(split.annotations)
        counts = (len(split.images), boxes, len(known), boxes - len(known), len(set(known)))
        table.add_row(name, *(f"{count:,}" for count in counts))
    return table


def _protocol_table(protocols: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("protocol", "queries", "gallery scenes", "gallery of a query")
    for name, protocol in protocols.items():
        queries, images = protocol["queries"], protocol["images"]
        sizes = [len(gallery) for gallery in queries.values()] if isinstance(queries, Mapping) else [len(images)]
        span = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
        table.add_row(name, f"{len(queries):,}", f"{len(images):,}", span)
    return table


def _fact_table(facts: list[ExpectedCount]) -> Table:
    table = _table("count", "here", "paper", "")
    for fact in facts:
        table.add_row(fact.name, f"{fact.ours:,}", fact.paper, "" if fact.agrees else "DIFFERS")
    return table
