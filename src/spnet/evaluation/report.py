"""All metrics of an evaluation as a table, as the block of text that tools parse, and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.detection import DetectionResult, evaluate_detection
from spnet.evaluation.matching import Mode
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.retrieval import CHUNK, RetrievalResult, evaluate
from spnet.files import write_json

EVALUATOR_VERSION = 1  # grows whenever the same detections would get another metric
TOP_K = (1, 5, 10)


class Flags(TypedDict, total=False):
    """How a search differs from that of the detections (see `evaluate`)."""

    confidence_weighted: bool
    ground_truth: bool


SETTINGS: dict[str, Flags] = {
    "detected": {},
    "detected_confidence_weighted": {"confidence_weighted": True},
    "ground_truth": {"ground_truth": True},
}


@dataclass(frozen=True)
class Report:
    """The metrics of one model's detections."""

    mode: Mode
    score_threshold: float
    detection: DetectionResult
    searches: dict[str, dict[str, RetrievalResult]]  # by protocol, then by setting (keys of SETTINGS)


def measure(
    arrays: EvaluationArrays,
    protocols: Mapping[str, Protocol],
    *,
    mode: Mode = "published",
    score_threshold: float = 0.5,
    chunk: int = CHUNK,
    device: torch.device | str = "cpu",
) -> Report:
    """Compute all metrics (docs/method.md, "Evaluation"): detection, and each protocol's search in all SETTINGS.

    Raises UserError naming the protocol that asks for what `arrays` lacks.
    """
    searches: dict[str, dict[str, RetrievalResult]] = {}
    for name, protocol in protocols.items():
        try:
            searches[name] = {
                setting: evaluate(
                    arrays, protocol, mode=mode, score_threshold=score_threshold, chunk=chunk, device=device, **flags
                )
                for setting, flags in SETTINGS.items()
            }
        except UserError as error:
            raise UserError(f"protocol {name!r}: {error}") from None
    return Report(mode, score_threshold, evaluate_detection(arrays, score_threshold=score_threshold), searches)


def as_table(report: Report) -> Table:
    """A table for the terminal, one row for each protocol, in percent."""
    recall, precision = report.detection.recall, report.detection.average_precision
    caption = f"detection of all persons: recall {recall:.2%}, AP@0.5 {precision:.2%}"
    table = Table(title=f"person search, {report.mode}", caption=caption, box=SIMPLE_HEAD)
    table.add_column("protocol", no_wrap=True)
    for heading in ("queries", "mAP", *(f"top-{k}" for k in TOP_K), "weighted mAP", "GT mAP"):
        table.add_column(heading, justify="right")
    for name, settings in report.searches.items():
        detected, weighted, perfect = (settings[setting] for setting in SETTINGS)
        metrics = [detected.mean_average_precision, *(detected.top(k) for k in TOP_K)]
        metrics += [weighted.mean_average_precision, perfect.mean_average_precision]
        table.add_row(name, str(len(detected.queries)), *(f"{value:.2%}" for value in metrics))
    return table


def as_text(report: Report) -> str:
    """The block of text that evaluation scripts of person search print, one for each protocol, in percent."""
    lines = []
    for name, settings in report.searches.items():
        result = settings["detected"]
        lines += [
            f"protocol {name}",
            "all detection:",
            f"  recall = {report.detection.recall:.2%}",
            f"  ap = {report.detection.average_precision:.2%}",
            "search ranking:",
            f"  mAP = {result.mean_average_precision:.2%}",
            *(f"  top-{k:2d} = {result.top(k):.2%}" for k in TOP_K),
        ]
    return "\n".join(lines)


def as_document(report: Report) -> dict[str, Any]:
    """Everything, per query too, as JSON values; metrics are fractions of 1."""
    return {
        "evaluator_version": EVALUATOR_VERSION,
        "mode": report.mode,
        "score_threshold": report.score_threshold,
        "protocols": {name: _search_document(report, settings) for name, settings in report.searches.items()},
    }


def write_report(path: Path, report: Report, about: Mapping[str, object] | None = None) -> None:
    """Write `as_document` as a JSON file, with what else is known `about` it. Raises UserError where that cannot be."""
    write_json(path, as_document(report) | ({"about": dict(about)} if about else {}))


def _search_document(report: Report, settings: Mapping[str, RetrievalResult]) -> dict[str, object]:
    metrics: dict[str, object] = {
        "detection": {"recall@0.5": report.detection.recall, "ap@0.5": report.detection.average_precision}
    }
    for setting, result in settings.items():
        metrics[setting] = {"mAP": result.mean_average_precision, **{f"top{k}": result.top(k) for k in TOP_K}}
    metrics["per_query"] = {setting: _queries_document(result) for setting, result in settings.items()}
    return metrics


def _queries_document(result: RetrievalResult) -> list[dict[str, float | None]]:
    rows = zip(
        result.queries.tolist(), result.average_precisions.tolist(), result.first_match_ranks.tolist(), strict=True
    )
    return [{"query": query, "ap": ap, "first_match_rank": rank or None} for query, ap, rank in rows]
