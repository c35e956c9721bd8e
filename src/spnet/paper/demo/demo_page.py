"""What the demo's report says, beyond what every report shows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from spnet.data.schema import Annotations
from spnet.evaluation.protocols import Protocol
from spnet.reports.context import EvaluatedModel, ReportContext
from spnet.reports.curves import LossPanel, read_curve
from spnet.runs.record import hardware

CLOSING = (
    "What the numbers mean: nobody searched for here was seen in training, so they say how well a small network, "
    "trained for minutes, finds strangers again. The two networks differ in pre-training alone, and one seed is one "
    "throw of the dice. The people are drawn, not filmed: that everything works end to end is shown here; how well it "
    "works on real streets is not."
)


def demo_context(
    annotations: Annotations,
    protocol: Protocol,
    models: Sequence[EvaluatedModel],
    runs: Sequence[Path],
    seconds: Mapping[str, float],
    seed: int,
) -> ReportContext:
    """The page of the demo: `models` are both networks, `runs` the pre-training and then those of both."""
    scenes, people = len(annotations.scene_ids), len(protocol.queries)
    lead = (
        "A small Swap Path Network learned to find one given person among everyone on drawn streets (query-centric, "
        "from boxes alone, without knowing who is who), and was then fine-tuned to detect everyone and tell people "
        "apart (object-centric). A second network was fine-tuned the same way, but without that pre-training. The "
        "backbones of both started from a classifier of drawn objects, as the paper's start from one of ImageNet. "
        f"Both searched {scenes} scenes for {people} people that neither had seen before."
    )
    facts = {
        "made": f"{datetime.now():%Y-%m-%d %H:%M}",
        "seed": str(seed),
        "machine": hardware(),
        **{name.replace("_", " "): f"{value:.0f} s" for name, value in seconds.items()},
    }
    tuning = {one.name: read_curve(run) for one, run in zip(models, runs[1:], strict=True)}
    panels = [
        LossPanel("pre-training, query-centric", {"pre-training": read_curve(runs[0])}),
        LossPanel("fine-tuning, object-centric", tuning),
    ]
    title = "Person search on drawn streets"
    return ReportContext(title, lead, annotations, "test", protocol, models, facts, panels, CLOSING)
