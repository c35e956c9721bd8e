"""One panel of a chart: a metric on one data set, as bars side by side or as lines over an axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from spnet.paper.results.metrics import METRICS

COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")  # of Okabe and Ito: everyone can tell them apart
SHAPES = ("o", "s", "^", "v")
ACROSS: dict[str, Any] = {"color": "#444444", "linestyle": "--", "linewidth": 1.1}
PAPER: dict[str, Any] = {
    "color": "black",
    "marker": "D",
    "markersize": 4.5,
    "markeredgecolor": "white",
    "markeredgewidth": 0.7,
    "linestyle": "none",
    "zorder": 5,
}
SPREAD: dict[str, Any] = {"ecolor": "#333333", "elinewidth": 1.0, "capsize": 2.5}
GROUP = 0.8  # of the way from one place to the next is taken by its bars
APART = 1.4  # lines are moved sideways by this much, in percent of the boxes, so that their spreads stay apart
SHARE = "boxes of pre-training, % (above 100: wrong boxes added)"
EMPTY = "nothing is measured yet"


@dataclass(frozen=True)
class Point:
    """A figure in a panel.

    Args:
        place: on the axis; None: it is the baseline, drawn across.
        series: whose bar or line it belongs to.
        own: mean and standard deviation of our seeds; None where nothing is measured.
        paper: the paper's value, where it is known and of the same data.
    """

    place: str | None
    series: str
    own: tuple[float, float | None] | None
    paper: float | None


def plot_panel(axes: Axes, points: Sequence[Point], series: Sequence[str], metric: str, lines: bool) -> None:
    """Draw all points of a panel; `series` in the order of their colors; `lines` or bars."""
    axes.set_ylabel(f"{METRICS[metric].title} ({METRICS[metric].unit})")
    axes.grid(axis="y", alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    (_draw_lines if lines else _draw_bars)(axes, points, series)
    for point in points:
        if point.place is None:
            _draw_across(axes, point)
    if not lines:
        _raise_axis(axes, points)
    if not any(point.own for point in points):
        axes.text(0.5, 0.5, EMPTY, transform=axes.transAxes, ha="center", va="center", color="#666666")
        if not any(point.paper for point in points):
            axes.set_yticks([])


def series_style(number: int, lines: bool) -> dict[str, Any]:
    """How the series of this number looks in the legend."""
    color = COLORS[number % len(COLORS)]
    if lines:
        return {"color": color, "marker": SHAPES[number % len(SHAPES)], "markersize": 4.5, "linewidth": 1.6}
    return {"color": color, "marker": "s", "markersize": 8, "linestyle": "none"}


def _draw_bars(axes: Axes, points: Sequence[Point], series: Sequence[str]) -> None:
    """The bars of a place side by side around it, however many there are."""
    places = list(dict.fromkeys(point.place for point in points if point.place is not None))
    width = GROUP / max(1, len(series))
    for middle, place in enumerate(places):
        there = [point for point in points if point.place == place]
        for number, point in enumerate(there):
            at = middle + (number - (len(there) - 1) / 2) * width
            if point.own:
                mean, deviation = point.own
                color = COLORS[series.index(point.series) % len(COLORS)]
                axes.bar(at, mean, 0.92 * width, yerr=deviation, color=color, error_kw=SPREAD)
            if point.paper is not None:
                axes.plot([at], [point.paper], **PAPER)
    axes.set_xticks(range(len(places)), [str(place).replace(" + ", "\n+ ") for place in places], fontsize=8)
    axes.set_xlim(-0.6, max(1, len(places)) - 0.4)
    axes.tick_params(axis="x", length=0)


def _draw_lines(axes: Axes, points: Sequence[Point], series: Sequence[str]) -> None:
    """One line a series over the share of the boxes, broken where a figure is missing; p20 is 20 percent."""
    ticks = sorted({_share(point) for point in points if point.place is not None})
    for number, name in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * APART
        line = [point for point in points if point.place is not None and point.series == name]
        if any(point.own for point in line):
            means, deviations = zip(*(point.own or (math.nan, None) for point in line), strict=True)
            spreads = [deviation or 0.0 for deviation in deviations]
            shares = [_share(point) + shift for point in line]
            axes.errorbar(shares, means, spreads, capsize=2.5, elinewidth=1.0, **series_style(number, True))
        for point in line:
            if point.paper is not None:
                axes.plot([_share(point) + shift], [point.paper], **PAPER)
    axes.axvline(100, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_xticks(ticks)
    axes.set_xlim(min(ticks, default=0) - 6, max(ticks, default=100) + 6)
    axes.set_xlabel(SHARE)


def _share(point: Point) -> int:
    return int(str(point.place).removeprefix("p"))


def _draw_across(axes: Axes, point: Point) -> None:
    if point.own:
        mean, deviation = point.own
        axes.axhline(mean, zorder=3, **ACROSS)
        if deviation:
            axes.axhspan(mean - deviation, mean + deviation, color=ACROSS["color"], alpha=0.1, linewidth=0)
    if point.paper is not None:
        axes.plot([1], [point.paper], transform=axes.get_yaxis_transform(), clip_on=False, **PAPER)


def _raise_axis(axes: Axes, points: Sequence[Point]) -> None:
    """Start the axis of bars above zero where they are too alike to be distinguished otherwise, and say so."""
    known = [value for point in points for value in _extent(point)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    start = math.floor(low - 0.6 * (high - low) - 1)
    if start < 0.4 * high:
        start = 0
    axes.set_ylim(start, high + 0.08 * (high - start))
    if start:
        axes.set_ylabel(f"{axes.get_ylabel()}, axis from {start}")


def _extent(point: Point) -> list[float]:
    own = [point.own[0] - (point.own[1] or 0), point.own[0] + (point.own[1] or 0)] if point.own else []
    return own + ([point.paper] if point.paper is not None else [])
