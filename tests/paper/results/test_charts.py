"""Charts show every figure at its place, say when there is none, and are the same file each time."""

from pathlib import Path

import numpy as np
import pytest
from invented import outcome_of
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from spnet.errors import UserError
from spnet.paper.figures import PAPER_TABLES
from spnet.paper.results.charts import make_figure, save_chart
from spnet.paper.results.outcomes import Outcome
from spnet.paper.results.render import write_results

FIGURE7 = {"Baseline": 20.0, "Uniform LR, QC": 24.0, "Uniform LR, OC": 22.0, "Frozen-BB, OC": 30.0}


def panels(result: Outcome) -> list[Axes]:
    return [axes for axes in make_figure(result).axes if axes.get_visible()]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def height(line: Line2D) -> float:
    """Where a line begins."""
    return float(np.asarray(line.get_ydata()).flat[0])


def test_bars_stand_at_their_places_as_high_as_their_means() -> None:
    first, second = panels(outcome_of("figure7", FIGURE7))
    bars = [bar for bar in first.patches[:3] if isinstance(bar, Rectangle)]
    heights = {round(bar.get_x() + bar.get_width() / 2, 2): bar.get_height() for bar in bars}
    assert heights == {-0.2: 25.0, 0.2: 23.0, 3.2: 31.0}
    assert [label.get_text() for label in first.get_xticklabels()] == [
        "Uniform LR",
        "Mixed LR",
        "Mixed LR\n+ LwF",
        "Frozen-BB",
    ]
    assert first.get_ylabel().startswith("mAP (%)")
    assert second.get_ylabel().startswith("top-1 (%)")
    colours = {bar.get_facecolor() for bar in bars}
    assert len(colours) == 2


def test_baseline_is_a_line_across_and_the_papers_figures_are_markers() -> None:
    axes = panels(outcome_of("figure7", FIGURE7))[0]
    across = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert [height(line) for line in across] == [21.0]
    markers = sorted(height(line) for line in axes.lines if line.get_marker() == "D")
    assert markers == [52.7, 54.5, 55.6]  # baseline, Mixed LR OC and QC on PRW


def test_the_papers_figures_are_not_drawn_over_other_data() -> None:
    figure = make_figure(outcome_of("figure7", FIGURE7, data="synthetic scenes"))
    assert not [line for axes in figure.axes for line in axes.lines if line.get_marker() == "D"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["QC", "OC", "no pre-training"]


def test_an_axis_that_does_not_start_at_zero_says_so() -> None:
    alike = dict.fromkeys(FIGURE7, 60.0)
    axes = panels(outcome_of("figure7", alike, data="synthetic scenes"))[0]
    assert axes.get_ylabel() == "mAP (%), axis from 57"
    assert axes.get_ylim()[0] == 57
    apart = panels(outcome_of("figure7", FIGURE7 | {"Uniform LR, QC": 2.0}, data="synthetic scenes"))[0]
    assert apart.get_ylabel() == "mAP (%)"
    assert apart.get_ylim()[0] == 0


def test_lines_go_over_the_share_of_the_boxes() -> None:
    own = {"Baseline": 10.0, "p20, QC": 20.0, "p100, QC": 30.0, "p180, QC": 25.0, "p60, OC": 22.0}
    result = outcome_of("fractions", own)
    assert len(panels(result)) == 2
    axes = panels(result)[0]
    curves = [container.lines[0] for container in axes.containers if isinstance(container, ErrorbarContainer)]
    lines = [np.stack([np.asarray(values, float) for values in curve.get_data()]) for curve in curves]
    assert [line[0].round(-1).tolist() for line in lines] == [[20, 60, 100, 140, 180]] * 2
    missing = np.nan  # breaks the line
    assert lines[0][1] == pytest.approx([21, missing, 31, missing, 26], nan_ok=True)
    assert lines[1][1] == pytest.approx([missing, 23, *[missing] * 3], nan_ok=True)
    assert list(axes.get_xticks()) == [20, 60, 100, 140, 180]
    assert axes.get_title(loc="left") == "CUHK-SYSU"


CHARTS = [key for key, table in PAPER_TABLES.items() if table.chart]


@pytest.mark.parametrize("key", CHARTS)
@pytest.mark.parametrize("data", [None, "synthetic scenes"])
def test_panels_without_figures_say_so(key: str, data: str | None) -> None:
    for axes in panels(outcome_of(key, {}, data=data)):
        assert texts(axes) == ["nothing is measured yet"]
    measured = {row.name: 20.0 for row in PAPER_TABLES[key].rows}
    for axes in panels(outcome_of(key, measured, seeds=1, data=data)):
        assert texts(axes) == []


def test_files_are_whole_and_the_same_each_time(tmp_path: Path) -> None:
    result = outcome_of("figure7", FIGURE7)
    files = write_results(result, tmp_path)
    assert [file.name for file in files] == [f"figure7.{suffix}" for suffix in ("md", "tex", "json", "png", "pdf")]
    assert sorted(files) == sorted(tmp_path.iterdir())
    assert "](figure7.png)" in files[0].read_text()
    assert files[4].read_bytes().startswith(b"%PDF")
    with Image.open(files[3]) as image:
        assert image.width > image.height > 500
    contents = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in write_results(result, tmp_path)] == contents


def test_a_table_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="table8 is a table"):
        save_chart(outcome_of("table8", {}), tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        save_chart(outcome_of("figure7", {}), tmp_path / "missing")
