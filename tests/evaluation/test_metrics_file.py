"""Metrics come out of a metrics.json as they were measured, and a file that has none says so by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from spnet.errors import UserError
from spnet.evaluation.metrics_file import (
    EVALUATOR_VERSION,
    EvaluatorMismatch,
    measured_protocols,
    read_about,
    read_metrics,
)


def invented_metrics(version: int = EVALUATOR_VERSION, average_precision: Any = 0.413) -> dict[str, Any]:
    """The document of an evaluation with two protocols."""
    search = {"mAP": average_precision, "top1": 0.5, "top5": 0.75, "top10": 1}
    sections = {
        "detection": {"recall@0.5": 0.9, "ap@0.5": 0.85},
        "detected": search,
        "ground_truth": search | {"mAP": 0.625},
    }
    return {
        "evaluator_version": version,
        "protocols": {"test": sections, "G50": sections},
        "about": {"pathway": "object"},
    }


def written(folder: Path, content: Any) -> Path:
    file = folder / "metrics.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_figures_are_percent_by_the_papers_names(tmp_path: Path) -> None:
    file = written(tmp_path, invented_metrics())
    expected = {"mAP": 41.3, "top-1": 50, "top-5": 75, "top-10": 100, "GT mAP": 62.5, "AP@0.5": 85, "recall": 90}
    assert read_metrics(file, "test") == pytest.approx(expected)
    assert measured_protocols(file) == ["test", "G50"]
    assert read_about(file) == {"pathway": "object"}


def test_figures_of_a_real_evaluation(small_data: Path, small_run: Path, tmp_path: Path) -> None:
    from spnet.evaluation.runner import evaluate_weights

    evaluation = evaluate_weights(small_run, split="test", output=tmp_path / "out")
    report = evaluation.report
    figures = read_metrics(evaluation.folder / "metrics.json", "test")
    result = report.searches["test"]
    assert figures["mAP"] == pytest.approx(100 * result["detected"].mean_average_precision)
    assert figures["GT mAP"] == pytest.approx(100 * result["ground_truth"].mean_average_precision)
    assert figures["top-5"] == pytest.approx(100 * result["detected"].top(5))
    assert figures["AP@0.5"] == pytest.approx(100 * report.detection.average_precision)
    assert figures["recall"] == pytest.approx(100 * report.detection.recall)


def test_another_evaluator_is_told_and_keeps_its_figures(tmp_path: Path) -> None:
    file = written(tmp_path, invented_metrics(version=EVALUATOR_VERSION + 1))
    with pytest.raises(EvaluatorMismatch, match=f"evaluator version {EVALUATOR_VERSION + 1}") as raised:
        read_metrics(file, "test")
    assert raised.value.metrics["mAP"] == pytest.approx(41.3)
    assert str(file) in str(raised.value)


DAMAGED = {
    "": "damaged",
    "[1]": "damaged",
    "null": "damaged",
    '{"protocols": {"test": {}}}': "damaged",
    '{"protocols": 3, "evaluator_version": 1}': "damaged",
    '{"protocols": {"test": null}, "evaluator_version": 1}': "it has no detected mAP",
    json.dumps(invented_metrics())[:-40]: "damaged",
    json.dumps(invented_metrics(average_precision=float("nan"))): "detected mAP is NaN",
    json.dumps(invented_metrics(average_precision=41.3)): "detected mAP is 41.3, must be 0 to 1",
    json.dumps(invented_metrics(average_precision="0.4")): "must be 0 to 1",
    json.dumps(invented_metrics(average_precision=True)): "must be 0 to 1",
}


@pytest.mark.parametrize(("content", "said"), DAMAGED.items())
def test_damaged_files_are_named(content: str, said: str, tmp_path: Path) -> None:
    file = written(tmp_path, content)
    with pytest.raises(UserError, match=said) as raised:
        read_metrics(file, "test")
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not isinstance(raised.value, EvaluatorMismatch)


def test_missing_file_and_missing_protocol(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.json: no such file"):
        read_metrics(tmp_path / "metrics.json", "test")
    with pytest.raises(UserError, match=r"'other' was not measured; it has test, G50"):
        read_metrics(written(tmp_path, invented_metrics()), "other")
