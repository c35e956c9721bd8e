"""The report page of one evaluation, beside its metrics."""

from datetime import datetime
from pathlib import Path

from spnet.data.schema import Annotations
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.report import Report
from spnet.reports.context import Measured, ReportContext
from spnet.reports.curves import Panel, read_curve
from spnet.reports.page import write_report_page


def write_evaluation_page(
    path: Path,
    weights: Path,
    data: Path,
    annotations: Annotations,
    protocols: dict[str, Protocol],
    report: Report,
    arrays: EvaluationArrays,
) -> None:
    """Write a page on one network; searches are those of the first protocol, curves those of the run if it is one.

    Raises UserError where an image cannot be read or the detections are of other scenes.
    """
    name, protocol = next(iter(protocols.items()))
    title = weights.resolve().name if weights.is_dir() else weights.stem
    lead = f"Everyone in {len(annotations.scene_ids):,} scenes detected, {len(protocol.queries):,} people searched for."
    facts = {"made": f"{datetime.now():%Y-%m-%d %H:%M}", "data": data.resolve().name, "evaluator mode": report.mode}
    panels = [Panel("training", {title: read_curve(weights)})]
    measured = [Measured(title, report, arrays)]
    subject = ReportContext(f"Person search: {title}", lead, annotations, name, protocol, measured, facts, panels)
    write_report_page(path, subject)
