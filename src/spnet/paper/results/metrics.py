"""What is measured, and how a value of it is printed, so that tables, charts and lists agree to the digit."""

from collections.abc import Sequence
from dataclasses import dataclass

from spnet.paper.results.outcomes import mean_std

NOTHING = "—"
DURATIONS = ((1.0, " h"), (60.0, " min"), (3600.0, " s"))  # how many make an hour, and what follows the number


@dataclass(frozen=True)
class Metric:
    """One thing that is measured.

    Args:
        title: the heading of its column.
        unit: what its values count.
        less_is_better: the lowest value is the best.
    """

    title: str
    unit: str
    less_is_better: bool = False


METRICS = {
    "mAP": Metric("mAP", "%"),
    "top-1": Metric("top-1", "%"),
    "top-5": Metric("top-5", "%"),
    "top-10": Metric("top-10", "%"),
    "GT mAP": Metric("GT mAP", "%"),
    "AP@0.5": Metric("AP@0.5", "%"),
    "recall": Metric("recall", "%"),
    "hours": Metric("time", "h", less_is_better=True),
    "ms a scene": Metric("ms a scene", "ms", less_is_better=True),
}


def format_metric(metric: str, value: float | None, signed: bool = False) -> str:
    """A value as it is printed: `41.3`; `—` where there is none. Times say their unit, `2.5 h` or `3.0 min`.

    Args:
        metric: a key of METRICS.
        value: in the metric's unit.
        signed: a difference, `+1.4` or `−3.4`.
    """
    return format_mean_std(metric, () if value is None else (value,), signed)


def format_mean_std(metric: str, values: Sequence[float], signed: bool = False) -> str:
    """Values of several seeds as mean and standard deviation, `41.3 ± 2.1`; of one seed as `format_metric`."""
    known = mean_std(values)
    if known is None:
        return NOTHING
    mean, deviation = known
    factor, suffix = _unit(metric, mean)
    text = f"{mean * factor:{'+' if signed else ''}z.1f}".replace("-", "−")
    if deviation is not None:
        text += f" ± {deviation * factor:.1f}"
    return text + suffix


def _unit(metric: str, value: float) -> tuple[float, str]:
    """What to multiply by and what to write behind, so that a short time is not printed as 0.0 hours."""
    if METRICS[metric].unit != "h":
        return 1.0, ""
    return next(((factor, suffix) for factor, suffix in DURATIONS if abs(value) * factor >= 1), DURATIONS[-1])
