"""All metrics of an evaluation as a table, as the block of text that tools parse, and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.detection import DetectionResult, evaluate_detection
from spnet.evaluation.matching import Mode
from spnet.evaluation.metrics_file import EVALUATOR_VERSION
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.rerank_options import Reranking, describe_reranking, parameters_of
from spnet.evaluation.retrieval import RetrievalResult, evaluate
from spnet.files import write_json

TOP_K = (1, 5, 10)


class Flags(TypedDict, total=False):
    """How a search differs from that of the detections (see `evaluate`)."""

    confidence_weighted: bool
    ground_truth: bool
    reranking: Reranking


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
    searches: dict[str, dict[str, RetrievalResult]]  # by protocol, then by setting (of SETTINGS, or `reranked`)
    rerankings: Mapping[str, Reranking] = field(default_factory=dict)


def reranked(name: str) -> str:
    """The setting in which the detections are re-ranked, by its name in `--rerank`."""
    return f"detected_{name.replace('-', '_')}"


def measure(
    arrays: EvaluationArrays,
    protocols: Mapping[str, Protocol],
    *,
    mode: Mode = "published",
    rerankings: Mapping[str, Reranking] | None = None,
    ground_truth: bool = True,
    score_threshold: float = 0.5,
    device: torch.device | str = "cpu",
) -> Report:
    """Compute all metrics (docs/method.md, "Evaluation"): detection, and each protocol's search in all SETTINGS.

    Each of the `rerankings` is one setting more. Without `ground_truth`, GT mAP is left out: it needs the embeddings of
    all annotated boxes. Raises UserError naming the protocol that asks for what `arrays` lacks.
    """
    rerankings = rerankings or {}
    settings = {name: flags for name, flags in SETTINGS.items() if ground_truth or not flags.get("ground_truth")}
    settings |= {reranked(name): {"reranking": how} for name, how in rerankings.items()}
    searches: dict[str, dict[str, RetrievalResult]] = {}
    for name, protocol in protocols.items():
        try:
            searches[name] = {
                setting: evaluate(arrays, protocol, mode=mode, score_threshold=score_threshold, device=device, **flags)
                for setting, flags in settings.items()
            }
        except UserError as error:
            raise UserError(f"protocol {name!r}: {error}") from None
    detection = evaluate_detection(arrays, score_threshold=score_threshold)
    return Report(mode, score_threshold, detection, searches, rerankings)


def as_table(report: Report) -> Table:
    """A table for the terminal, one row for each protocol, in percent."""
    recall, precision = report.detection.recall, report.detection.average_precision
    caption = f"detection of all persons: recall {recall:.2%}, AP@0.5 {precision:.2%}"
    table = Table(title=f"person search, {report.mode}, in percent", caption=caption, box=SIMPLE_HEAD)
    table.add_column("protocol", no_wrap=True)
    for heading in ("queries", "mAP", *(f"top-{k}" for k in TOP_K), "weighted mAP", "GT mAP"):
        table.add_column(heading, justify="right")
    for name, settings in report.searches.items():
        others = [settings.get(setting) for setting in SETTINGS if setting != "detected"]
        table.add_row(name, *_cells(settings["detected"]), *(_percent_mean(result) for result in others))
        for reranking in report.rerankings:
            table.add_row(f"+ {reranking}", *_cells(settings[reranked(reranking)]))
    return table


def as_text(report: Report) -> str:
    """The block of text that evaluation scripts of person search print, one for each protocol, in percent."""
    lines = []
    for name, settings in report.searches.items():
        lines += [
            f"protocol {name}",
            "all detection:",
            f"  recall = {report.detection.recall:.2%}",
            f"  ap = {report.detection.average_precision:.2%}",
            "search ranking:",
            *_ranking_lines(settings["detected"]),
        ]
        for reranking, how in report.rerankings.items():
            lines.append(f"search ranking, re-ranked by {describe_reranking(reranking, how)}:")
            lines += _ranking_lines(settings[reranked(reranking)])
    return "\n".join(lines)


def as_document(report: Report) -> dict[str, Any]:
    """Everything, per query too, as JSON values; metrics are fractions of 1."""
    parameters = {reranked(name): parameters_of(how) for name, how in report.rerankings.items()}
    return {
        "evaluator_version": EVALUATOR_VERSION,
        "mode": report.mode,
        "score_threshold": report.score_threshold,
        **({"rerankings": parameters} if parameters else {}),
        "protocols": {name: _search_document(report, settings) for name, settings in report.searches.items()},
    }


def write_report(path: Path, report: Report, about: Mapping[str, object] | None = None) -> None:
    """Write `as_document` as a JSON file, with what else is known `about` it. Raises UserError where that cannot be."""
    write_json(path, as_document(report) | ({"about": dict(about)} if about else {}))


def _cells(result: RetrievalResult) -> list[str]:
    metrics = result.mean_average_precision, *(result.top(k) for k in TOP_K)
    return [str(len(result.queries)), *(f"{100 * value:.2f}" for value in metrics)]


def _percent_mean(result: RetrievalResult | None) -> str:
    return "-" if result is None else f"{100 * result.mean_average_precision:.2f}"


def _ranking_lines(result: RetrievalResult) -> list[str]:
    return [
        f"  mAP = {result.mean_average_precision:.2%}",
        *(f"  top-{k:2d} = {result.top(k):.2%}" for k in TOP_K),
    ]


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
