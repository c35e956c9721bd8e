"""Loss curves of training runs as SVG for a page."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from spnet.runs.folder import CURVES

COLORS = ("#2f6fde", "#d9822b", "#5a9e6f", "#8a63c9")
GRAY = "#8b95a5"  # seen on white and on black; text has no color of its own, so that it takes the page's
STYLE: Any = {  # Any: what type the keys have depends on the version of matplotlib
    "svg.fonttype": "none",
    "svg.hashsalt": "spnet",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.edgecolor": GRAY,
    "grid.color": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
}
SMOOTHING = 0.1  # share of a curve that its running mean spans


@dataclass(frozen=True)
class LossCurve:
    """A loss over the steps of a run."""

    steps: npt.NDArray[np.int64]  # (T,)
    losses: npt.NDArray[np.float64]  # (T,)


@dataclass(frozen=True)
class LossPanel:
    """Curves of the same loss by name, to be compared on the same axes."""

    title: str
    curves: Mapping[str, LossCurve]


def read_curve(run: Path, name: str = "loss/total") -> LossCurve:
    """Read a loss from a run's metrics.csv; empty where the run logged none."""
    lines = (run / CURVES).read_text().splitlines() if (run / CURVES).is_file() else []
    rows = [row for row in csv.DictReader(lines) if row.get(name)]
    steps, losses = [int(row["step"]) for row in rows], [float(row[name]) for row in rows]
    return LossCurve(np.array(steps, np.int64), np.array(losses, np.float64))


def plot_curves(panel: LossPanel) -> str:
    """Plot a panel as one SVG element: every curve faint, its running mean strong."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.1), layout="constrained")
        axes = figure.subplots()
        for number, (name, curve) in enumerate(panel.curves.items()):
            color = COLORS[number % len(COLORS)]
            axes.plot(curve.steps, curve.losses, color=color, alpha=0.3, linewidth=1)
            axes.plot(curve.steps, running_mean(curve.losses), color=color, linewidth=2, label=name)
        axes.set(xlabel="step", ylabel="loss, all parts", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if len(panel.curves) > 1:
            axes.legend(frameon=False)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = svg.getvalue()
    return re.sub(r'<g id="[^"]*"', "<g", text[text.index("<svg") :])  # of several panels, these ids would be the same


def running_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean of the values (T,) around each place, over fewer at the ends."""
    reach = int(len(values) * SMOOTHING / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    first, last = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    return np.asarray((sums[last] - sums[first]) / (last - first))
