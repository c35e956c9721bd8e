"""Loss curves of training runs, as images inside a page."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

CURVES = Path("logs") / "metrics.csv"
COLOURS = ("#2f6fde", "#d9822b", "#5a9e6f", "#8a63c9")
SMOOTHING = 0.1  # share of a curve that its running mean spans


@dataclass(frozen=True)
class Curve:
    """A loss over the steps of a run."""

    steps: np.ndarray  # (T,)
    losses: np.ndarray  # (T,)


@dataclass(frozen=True)
class Panel:
    """Curves that can be compared, since they are of the same loss."""

    title: str
    curves: Mapping[str, Curve]


def read_curve(run: Path, name: str = "loss/total") -> Curve:
    """A loss that a run logged in its metrics.csv; empty if there is none."""
    if not (run / CURVES).is_file():
        return Curve(np.zeros(0, np.int64), np.zeros(0))
    with (run / CURVES).open(newline="") as stream:
        rows = [(int(row["step"]), float(row[name])) for row in csv.DictReader(stream) if row.get(name)]
    return Curve(np.array([step for step, _ in rows], np.int64), np.array([loss for _, loss in rows]))


def plot_curves(panels: Sequence[Panel]) -> str:
    """The panels side by side as one SVG element: each curve faint, its running mean strong."""
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "spnet", "font.family": "sans-serif", "font.size": 10}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(5.9 * len(panels), 3.4), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw_panel(axes, panel)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = drawing.getvalue()
    return text[text.index("<svg") :]


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for number, (name, curve) in enumerate(panel.curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(curve.steps, curve.losses, color=colour, alpha=0.25, linewidth=1)
        axes.plot(curve.steps, running_mean(curve.losses), color=colour, linewidth=2, label=name)
    axes.set_title(panel.title, loc="left", fontsize=10.5, fontweight="bold")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, all parts")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.curves) > 1:
        axes.legend(frameon=False)


def running_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the values (T,) around each place, over fewer at the ends."""
    reach = int(len(values) * SMOOTHING / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    return np.asarray((sums[last] - sums[first]) / (last - first))
