"""Data of a report page: evaluated models, the split and protocol they share, and loss curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from spnet.data.schema import Annotations
from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.report import Report
from spnet.evaluation.runner import EvaluationResult
from spnet.reports.curves import LossPanel, read_curve

MEANINGS = {
    "mAP": "person search: average precision of the ranked detections, mean over the queries",
    "top-1": "share of queries whose most similar detection is the right person",
    "GT mAP": "mAP with annotated boxes in place of detections: re-identification alone",
    "AP@0.5": "detection alone: average precision of all boxes at IoU 0.5, times recall",
    "recall": "share of all annotated people that are detected (IoU 0.5)",
}


@dataclass(frozen=True)
class EvaluatedModel:
    """A model's metrics and the detections they were computed from."""

    name: str
    report: Report
    arrays: EvaluationArrays

    def metrics(self, protocol: str) -> dict[str, float]:
        """The metrics of MEANINGS, fractions of 1."""
        searches, detection = self.report.searches[protocol], self.report.detection
        detected, ground_truth = searches["detected"], searches["ground_truth"]
        values = (detected.mean_average_precision, detected.top(1), ground_truth.mean_average_precision)
        return dict(zip(MEANINGS, (*values, detection.average_precision, detection.recall), strict=True))


@dataclass(frozen=True)
class ReportContext:
    """Models evaluated on the same split by the same protocol; the page shows detections of the first."""

    title: str
    lead: str
    annotations: Annotations
    protocol_name: str
    protocol: Protocol
    models: Sequence[EvaluatedModel]
    facts: Mapping[str, str] = field(default_factory=dict)
    panels: Sequence[LossPanel] = ()
    closing: str = ""


def evaluation_context(result: EvaluationResult, weights: Path) -> ReportContext:
    """Return the context of one object-centric evaluation, by the first protocol, with the run's loss curve if any.

    Raises UserError for a query-centric evaluation: it keeps no detections of everyone.
    """
    if result.arrays is None:
        raise UserError("a report page needs object-centric detections: evaluate along --pathway object")
    name, protocol = next(iter(result.protocols.items()))
    title = weights.resolve().name if weights.is_dir() else weights.stem
    scenes = len(result.annotations.scene_ids)
    return ReportContext(
        title=f"Person search: {title}",
        lead=f"Everyone in {scenes:,} scenes detected, {len(protocol.queries):,} people searched for.",
        annotations=result.annotations,
        protocol_name=name,
        protocol=protocol,
        models=[EvaluatedModel(title, result.report, result.arrays)],
        facts={
            "made": f"{datetime.now():%Y-%m-%d %H:%M}",
            "data": result.data.resolve().name,
            "evaluator mode": result.report.mode,
        },
        panels=[LossPanel("training", {title: read_curve(weights)})],
    )
