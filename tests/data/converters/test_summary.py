"""The summary has the counts, the paper's beside them, and everything that was left out."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from spnet.cli.prepare_summary import print_summary
from spnet.data.converters.summary import ConvertedDataset, ExpectedCount
from spnet.data.schema import Split, image_record, person_record


@pytest.mark.parametrize(
    ("ours", "paper", "agrees"),
    [
        (2057, "2,057", True),
        (2056, "2,057", False),
        (18184, "18k", True),
        (17400, "18k", False),
        (8432, "8.5k", True),
        (8200, "8.5k", False),
        (932, "1k", True),
        (96143, "95k", True),
        (11816, "12k", True),
    ],
)
def test_rounded_counts_agree_within_their_rounding(ours: int, paper: str, agrees: bool) -> None:
    assert ExpectedCount("boxes", ours, paper).agrees is agrees


def test_everything_is_printed() -> None:
    persons = [person_record(0, 0, (1, 1, 5, 5), 3), person_record(1, 0, (7, 1, 5, 5), 4, is_known=False)]
    converted = ConvertedDataset(
        {"train": Split([image_record(0, "a.jpg", 50, 50)], persons, "p")},
        {"test": {"queries": {"0": [0]}, "images": [0]}},
        {"crowds": 1234},
        [ExpectedCount("scenes", 1, "18k"), ExpectedCount("queries", 2900, "2,900")],
        ["a note"],
    )
    console = Console(record=True, width=100, file=io.StringIO())
    print_summary(Path("out"), converted, console)
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "train 1 2 1 1 1" in lines
    assert "test 1 1 1" in lines
    assert "scenes 1 18k DIFFERS" in lines
    assert "queries 2,900 2,900" in lines
    assert "left out: 1,234 crowds" in lines
    assert "note: a note" in lines
    assert lines[-1] == "wrote out"
