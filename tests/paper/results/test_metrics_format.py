"""PaperMetrics are printed as the paper prints them, and short times not as 0.0 hours."""

import pytest

from spnet.paper.figures import PAPER_TABLES
from spnet.paper.results.metrics import METRICS, format_mean_std, format_metric

FIGURES = [
    ("mAP", 41.26, "41.3"),
    ("mAP", 0.0, "0.0"),
    ("top-1", 100.0, "100.0"),
    ("mAP", None, "—"),
    ("ms a scene", 123.44, "123.4"),
    ("hours", 46.5, "46.5 h"),
    ("hours", 1.0, "1.0 h"),
    ("hours", 0.5, "30.0 min"),
    ("hours", 0.05, "3.0 min"),
    ("hours", 0.004, "14.4 s"),
    ("hours", 0.0, "0.0 s"),
]


@pytest.mark.parametrize(("metric", "value", "text"), FIGURES)
def test_figure(metric: str, value: float | None, text: str) -> None:
    assert format_metric(metric, value) == text


SPREADS = [
    ("mAP", [41.3], "41.3"),
    ("mAP", [], "—"),
    ("mAP", [40.0, 42.0, 44.0], "42.0 ± 2.0"),
    ("mAP", [42.0, 42.0], "42.0 ± 0.0"),
    ("hours", [0.1, 0.2], "9.0 ± 4.2 min"),
    ("hours", [2.0, 0.5], "1.2 ± 1.1 h"),
]


@pytest.mark.parametrize(("metric", "values", "text"), SPREADS)
def test_figure_with_spread(metric: str, values: list[float], text: str) -> None:
    assert format_mean_std(metric, values) == text


@pytest.mark.parametrize(
    ("values", "text"), [([1.4], "+1.4"), ([-3.4], "−3.4"), ([-0.04], "+0.0"), ([-1.0, -2.0], "−1.5 ± 0.7")]
)
def test_differences_have_a_sign(values: list[float], text: str) -> None:
    assert format_mean_std("mAP", values, signed=True) == text


def test_every_metric_of_the_paper_is_known() -> None:
    used = {metric for table in PAPER_TABLES.values() for _, metrics in table.columns for metric in metrics}
    given = {
        m for table in PAPER_TABLES.values() for row in table.rows for figures in row.paper.values() for m in figures
    }
    assert used | given <= set(METRICS)
