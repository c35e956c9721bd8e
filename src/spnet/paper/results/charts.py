"""A result as an image: bars or lines with their spread, the baseline across, and the paper's values where known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spnet.errors import UserError
from spnet.files import atomic_write
from spnet.paper.results.chart_panels import ACROSS, PAPER, Point, plot_panel, series_style
from spnet.paper.results.outcomes import Outcome, RowOutcome, mean_std

BASELINE = "Baseline"  # the place of a row that is drawn as a line across
# Any: what type the keys have depends on the version of matplotlib
STYLE: Any = {"font.family": "sans-serif", "font.size": 9, "pdf.fonttype": 42, "axes.axisbelow": True}
# without dates and versions, so that equal results are equal files
FORMATS: dict[str, dict[str, None]] = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}
HEIGHT, LEAST_WIDTH, PLACE_WIDTH = 3.0, 4.4, 0.95  # inches, of a panel and of a place on its axis


def save_chart(outcome: Outcome, folder: Path) -> list[Path]:
    """Write `<key>.png` and `<key>.pdf`; returns their paths.

    Raises UserError for a result that is no figure, or where a file cannot be written.
    """
    if outcome.chart is None:
        raise UserError(f"{outcome.key} is a table: there is nothing to plot")
    files = []
    with matplotlib.rc_context(STYLE):
        figure = make_figure(outcome)
        for kind, metadata in FORMATS.items():
            files.append(folder / f"{outcome.key}.{kind}")
            with atomic_write(files[-1]) as stream:
                figure.savefig(stream, format=kind, dpi=200, metadata=metadata)
    return files


def make_figure(outcome: Outcome) -> Figure:
    """The image: panels of a data set side by side, one a metric; data sets one below the other."""
    lines = outcome.chart == "lines"
    at = [row.at for row in outcome.rows if row.at]
    series = list(dict.fromkeys(series for place, series in at if place != BASELINE))
    places = {place for place, _ in at}
    columns = max((len(metrics) for _, metrics in outcome.own_columns), default=1)
    width = LEAST_WIDTH if lines else max(LEAST_WIDTH, PLACE_WIDTH * len(places))
    count = max(1, len(outcome.own_columns))
    figure = Figure((width * columns, HEIGHT * count + 0.4), layout="constrained")
    grid = figure.subplots(count, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for axes_row, (data, metrics) in zip(grid, outcome.own_columns, strict=False):
        for axes, metric in zip(axes_row, metrics, strict=False):
            axes.set_visible(True)
            points = [_point(row, data, metric) for row in outcome.rows if row.at]
            plot_panel(axes, points, series, metric, lines)
            axes.set_title(data, loc="left", fontsize=9, fontweight="bold")
    _add_legend(figure, outcome, series, lines)
    return figure


def _point(row: RowOutcome, data: str, metric: str) -> Point:
    """A row's values; the paper's only where they are of the same data."""
    place, series = row.at or ("", "")
    own = mean_std(row.of_ours(data, metric))
    return Point(None if place == BASELINE else place, series, own, row.of_paper(data, metric))


def _add_legend(figure: Figure, outcome: Outcome, series: Sequence[str], lines: bool) -> None:
    handles = [Line2D([], [], label=name, **series_style(number, lines)) for number, name in enumerate(series)]
    across = [row for row in outcome.rows if row.at and row.at[0] == BASELINE]
    handles += [Line2D([], [], label=row.at[1], **ACROSS) for row in across if row.at]
    same_data = {data for data, _ in outcome.own_columns}
    if any(row.paper.keys() & same_data for row in outcome.rows):
        edge = any(row.paper.keys() & same_data for row in across)
        handles.append(Line2D([], [], label="paper (right edge: its baseline)" if edge else "paper", **PAPER))
    figure.legend(handles=handles, loc="outside upper center", ncols=max(1, len(handles)), frameon=False)
