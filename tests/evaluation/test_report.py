"""The three forms of a report."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from spnet.errors import UserError
from spnet.evaluation.arrays import read_arrays
from spnet.evaluation.metrics_file import EVALUATOR_VERSION
from spnet.evaluation.protocols import Protocol, read_protocols
from spnet.evaluation.report import Report, as_document, as_table, as_text, measure, write_report

CASE = Path(__file__).parent.parent / "parity" / "eval" / "small"


@pytest.fixture(scope="module")
def report() -> Report:
    return measure(read_arrays(CASE / "arrays.npz"), read_protocols(CASE / "protocols.json"))


def test_the_document_holds_the_published_figures(report: Report) -> None:
    document = as_document(report)
    assert (document["evaluator_version"], document["mode"]) == (EVALUATOR_VERSION, "published")
    expected = json.loads((CASE / "expected.json").read_text())
    for name, figures in expected.items():
        ours = document["protocols"][name]
        assert ours["detection"]["ap@0.5"] == pytest.approx(figures["detection"]["ap@0.5"], abs=1e-9)
        for setting in ("detected", "detected_confidence_weighted", "ground_truth"):
            for figure, value in figures[setting].items():
                assert ours[setting][figure] == pytest.approx(value, abs=1e-9)
        first = [query["first_match_rank"] == 1 for query in ours["per_query"]["detected"]]
        assert first == [bool(hit) for hit in figures["detected_top1_per_query"]]
        assert np.mean([query["ap"] for query in ours["per_query"]["ground_truth"]]) == ours["ground_truth"]["mAP"]


def test_the_text_block_can_be_parsed(report: Report) -> None:
    figures = re.findall(r"(recall|ap|mAP|top- ?\d+) = ([\d.]+)%", as_text(report).split("protocol ")[1])
    assert [name for name, _ in figures] == ["recall", "ap", "mAP", "top- 1", "top- 5", "top-10"]
    assert dict(figures)["mAP"] == "34.10"
    assert dict(figures)["top- 1"] == "57.14"
    assert as_text(report).splitlines()[1:3] == ["all detection:", "  recall = 76.55%"]


def test_the_table_fits_a_terminal(report: Report) -> None:
    file = io.StringIO()
    Console(width=80, file=file).print(as_table(report))
    text = file.getvalue()
    for expected in ("in percent", "per_query", "34.10", "57.14", "26.06", "52.28", "weighted", "recall 76.55%"):
        assert expected in text
    assert "…" not in text


def test_the_file_is_the_document(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "out.json", report)
    assert json.loads((tmp_path / "out.json").read_text()) == as_document(report)
    with pytest.raises(UserError, match="cannot be written"):
        write_report(tmp_path / "missing" / "out.json", report)


def test_a_wrong_protocol_is_named() -> None:
    with pytest.raises(UserError, match="protocol 'mine': query 1 is the id of no annotation"):
        measure(read_arrays(CASE / "arrays.npz"), {"mine": Protocol(np.array([1]))})
