"""The one place where metrics are read out of a metrics.json, in percent and by the names the paper's tables have."""

import math
from pathlib import Path
from typing import Any

from spnet.errors import UserError
from spnet.files import read_json

METRICS = "metrics.json"  # in the folder of an evaluation
EVALUATOR_VERSION = 1  # grows whenever the same detections would get another metric
_SECTION_OF = {  # metric -> where a protocol's section has it
    "mAP": ("detected", "mAP"),
    "top-1": ("detected", "top1"),
    "top-5": ("detected", "top5"),
    "top-10": ("detected", "top10"),
    "GT mAP": ("ground_truth", "mAP"),
    "AP@0.5": ("detection", "ap@0.5"),
    "recall": ("detection", "recall@0.5"),
}


class EvaluatorMismatch(UserError):
    """Metrics of another version of the evaluator, not to be compared with ours without a warning."""

    def __init__(self, message: str, metrics: dict[str, float], version: int) -> None:
        super().__init__(message)
        self.metrics, self.version = metrics, version  # what the file says; in percent


def read_metrics(metrics_file: Path, protocol: str) -> dict[str, float]:
    """Read the metrics of one protocol in percent, by metric (keys of `_SECTION_OF`).

    Raises:
        EvaluatorMismatch: measured with another version of the evaluator; it has the metrics.
        UserError: a file that is missing or damaged, a metric that is no number, or a protocol that was not measured.
    """
    content = _read(metrics_file)
    sections = content["protocols"]
    if protocol not in sections:
        raise UserError(f"{metrics_file}: protocol {protocol!r} was not measured; it has {', '.join(sections)}")
    metrics = {metric: _percent(metrics_file, sections[protocol], *_SECTION_OF[metric]) for metric in _SECTION_OF}
    version = content["evaluator_version"]
    if version != EVALUATOR_VERSION:
        raise EvaluatorMismatch(
            f"{metrics_file}: measured with evaluator version {version}, this is version {EVALUATOR_VERSION}: "
            "run spnet evaluate again",
            metrics,
            version,
        )
    return metrics


def measured_protocols(metrics_file: Path) -> list[str]:
    """Names of the protocols that were measured. Raises UserError for a file that is missing or damaged."""
    return list(_read(metrics_file)["protocols"])


def read_about(metrics_file: Path) -> dict[str, Any]:
    """What `spnet evaluate` noted: annotations (their digest), pathway, hardware, date, seconds; or nothing.

    Raises UserError for a file that is missing or damaged.
    """
    return dict(_read(metrics_file).get("about") or {})


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"{file}: no such file: run spnet evaluate")
    damaged = UserError(f"{file} is damaged: no metrics of an evaluation")
    try:
        content = read_json(file)
    except UserError:
        raise damaged from None
    if (
        not isinstance(content, dict)
        or "evaluator_version" not in content
        or not isinstance(content.get("protocols"), dict)
        or not isinstance(content.get("about", {}), dict)
    ):
        raise damaged
    return content


def _percent(file: Path, section: Any, part: str, name: str) -> float:
    try:
        value = section[part][name]
    except (KeyError, TypeError):
        raise UserError(f"{file} is damaged: it has no {part} {name}") from None
    if isinstance(value, float) and math.isnan(value):
        raise UserError(f"{file}: {part} {name} is NaN")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"{file} is damaged: {part} {name} is {value!r}, must be 0 to 1")
    return 100.0 * value
