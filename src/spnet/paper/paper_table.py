"""What a table or figure of the paper is: rows, each a recipe with the paper's metrics, and the columns measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from spnet.paper.recipes import Patch, Recipe, apply

PaperMetrics = Mapping[str, Mapping[str, float]]  # data set -> metric -> value: percent, hours, milliseconds


@dataclass(frozen=True)
class Scale:
    """How large everything is: the base recipes that the rows change.

    Args:
        name: `paper`, or `small` for one CPU or GPU and synthetic scenes.
        spnet_s: SPNet-S, pre-trained query-centric on all boxes, fine-tuned object-centric.
        spnet_l: SPNet-L, the same way.
        spnet_l_resnet: SPNet-L with a ResNet-50.
        swin_b: SPNet-S with a Swin-B.
    """

    name: str
    spnet_s: Recipe
    spnet_l: Recipe
    spnet_l_resnet: Recipe
    swin_b: Recipe


@dataclass(frozen=True)
class Row:
    """One row of a table, or one point of a figure.

    Args:
        name: as the paper prints it.
        recipe: what is trained, at a given scale.
        paper: what the paper reports; empty where it draws a chart without numbers.
        at: for figures: the place on the axis, and the series.
    """

    name: str
    recipe: Callable[[Scale], Recipe]
    paper: PaperMetrics
    at: tuple[str, str] | None = None


@dataclass(frozen=True)
class PaperTable:
    """A table or a figure.

    Args:
        key: what it is called on the command line.
        title: what it shows.
        columns: data sets, each with its metrics (`metrics.METRICS`).
        rows: in the paper's order.
        gains: further rows, the difference of two: name, of this row, over that row.
        chart: how a figure is drawn: bars side by side, or lines over an axis.
        note: what a reader should know.
    """

    key: str
    title: str
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[Row, ...]
    gains: tuple[tuple[str, str, str], ...] = ()
    chart: Literal["bars", "lines"] | None = None
    note: str = ""

    @property
    def heading(self) -> str:
        """Its title, after the paper's number where it has one."""
        kind, number = self.key.rstrip("0123456789"), self.key.lstrip("abcdefghijklmnopqrstuvwxyz")
        return f"{kind.capitalize()} {number}: {self.title}" if number else self.title


def _changed(base: str, *changes: Patch) -> Callable[[Scale], Recipe]:
    """The base recipe of that name, changed, at any scale."""
    return lambda scale: apply(getattr(scale, base), *changes)


# each takes changes, and gives the changed recipe of a scale
spnet_s = partial(_changed, "spnet_s")
spnet_l = partial(_changed, "spnet_l")
spnet_l_resnet = partial(_changed, "spnet_l_resnet")
swin_b = partial(_changed, "swin_b")
