"""What a report page is about, as its sections pass it on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spnet.data.schema import Annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.report import Report
from spnet.reports.curves import Panel

MEANINGS = {
    "mAP": "how well people are found by search: the ranking's average precision, mean over the queries",
    "top-1": "share of queries whose most similar detection is the right person",
    "GT mAP": "mAP with annotated boxes in place of detections: telling people apart, without finding them",
    "AP@0.5": "detection alone: average precision of all boxes at IoU 0.5, times recall",
    "recall": "share of all annotated people that are detected (IoU 0.5, score 0.5)",
}


@dataclass(frozen=True)
class Measured:
    """A network's figures and what they were made of."""

    name: str
    report: Report
    arrays: EvaluationArrays

    def figures(self, protocol: str) -> dict[str, float]:
        """The figures of MEANINGS, fractions of 1."""
        searches, detection = self.report.searches[protocol], self.report.detection
        detected, perfect = searches["detected"], searches["ground_truth"]
        values = (detected.mean_average_precision, detected.top(1), perfect.mean_average_precision)
        return dict(zip(MEANINGS, (*values, detection.average_precision, detection.recall), strict=True))


@dataclass(frozen=True)
class ReportContext:
    """Networks measured on the same split by the same protocol; the first is shown in images."""

    title: str
    lead: str
    annotations: Annotations
    protocol_name: str
    protocol: Protocol
    measured: Sequence[Measured]
    facts: Mapping[str, str] = field(default_factory=dict)
    panels: Sequence[Panel] = ()
    closing: str = ""
