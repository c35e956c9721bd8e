"""What every converter returns: splits, protocols, counts with the paper's, and what was left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from spnet.data.schema import ProtocolRecord, Split


@dataclass(frozen=True)
class ExpectedCount:
    """A count that the paper states (supplementary section 7), with the one that was converted."""

    name: str
    ours: int
    paper: str  # as printed there: "2,057" is exact, "8.5k" is rounded

    @property
    def agrees(self) -> bool:
        """Whether ours is the paper's: exactly, or for a rounded number within its rounding or 2 %."""
        if not self.paper.endswith("k"):
            return self.ours == int(self.paper.replace(",", ""))
        number = self.paper.removesuffix("k")
        half_a_unit = 0.5 * 10.0 ** -len(number.partition(".")[2])
        return abs(self.ours / 1000 - float(number)) <= max(half_a_unit, 0.02 * float(number))


def expected_counts(parts: Sequence[Split], identities: int, paper: Sequence[str]) -> list[ExpectedCount]:
    """Scenes, boxes, boxes of known and of unknown persons, and identities of all parts, beside those of the paper."""
    records = [record for split in parts for record in split.annotations]
    known = sum(record["is_known"] for record in records)
    ours = {
        "scenes": sum(len(split.images) for split in parts),
        "boxes": len(records),
        "boxes of known persons": known,
        "boxes of unknown persons": len(records) - known,
        "identities": identities,
    }
    return [ExpectedCount(name, count, said) for (name, count), said in zip(ours.items(), paper, strict=True)]


def known_persons(split: Split) -> set[int]:
    """The known persons of a split, by number."""
    return {record["person_id"] for record in split.annotations if record["is_known"]}


@dataclass(frozen=True)
class ConvertedDataset:
    """A converted source, ready to be written."""

    splits: dict[str, Split]
    protocols: dict[str, ProtocolRecord]
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> number of records of the source left out
    expected_counts: list[ExpectedCount] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what one should know about this conversion, a sentence each
