"""`spnet demo`: data, pre-training, fine-tuning, evaluation and a report, in one go."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

SUMMARY = "show all of it on synthetic scenes: pre-train, fine-tune, search, report"

DESCRIPTION = (
    "Renders a synthetic data set, trains a classifier of rendered objects for all backbones to start from (as the "
    "paper's start from ImageNet's), pre-trains spnet-tiny query-centric, fine-tunes it object-centric, fine-tunes "
    "once more without pre-training to compare, searches both for people never seen, then indexes two rendered videos "
    "and searches them too. Writes OUTPUT/metrics.json, report.html, search.html, and weights.safetensors to search "
    "with. Interrupted, the same command goes on; what is finished is not done again."
)

COUNTS = (
    ("--scenes", 900, "training scenes, and images to pre-train on"),
    ("--identities", 150, "people known in training"),
    ("--test-scenes", 150, "scenes that are searched"),
    ("--test-identities", 50, "people searched for, others than in training"),
    ("--seed", 0, "of data and training"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet demo`."""
    parser.description = DESCRIPTION
    parser.add_argument("--output", type=Path, default=Path("runs/demo"), metavar="DIR", help="(default %(default)s)")
    for name, count, what in COUNTS:
        parser.add_argument(name, type=int, default=count, metavar="N", help=f"{what} (default %(default)s)")
    parser.add_argument(
        "--epochs-scale",
        type=float,
        default=1.0,
        metavar="F",
        help="share of the usual training, for trials (default %(default)s)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Do it, print the metrics, and say where the results are. Raises UserError, KeyboardInterrupt."""
    from rich.console import Console

    from spnet.paper.demo import Demo, run_demo

    demo = Demo(**{field.name: getattr(arguments, field.name) for field in fields(Demo)})
    try:
        metrics = run_demo(demo)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    Console().print(_table(metrics))
    print(f"took {metrics['seconds']['total']:.0f} s in all")
    if video := metrics["video"]:
        print(f"in rendered video, {video['found']} of {video['people']} people were found again by the other camera")
        print(f"search:  {(demo.output / 'search.html').resolve().as_uri()}")
    print(f"metrics: {demo.output / 'metrics.json'}\nreport:  {(demo.output / 'report.html').resolve().as_uri()}")


def _table(metrics: dict[str, Any]) -> "Table":
    from rich.table import Table

    from spnet.paper.demo import NETWORKS

    table = Table(title="people never seen in training")
    table.add_column("")
    for title in NETWORKS.values():
        table.add_column(title, justify="right")
    for metric in metrics[next(iter(NETWORKS))]:
        table.add_row(metric, *(f"{metrics[name][metric]:.1%}" for name in NETWORKS))
    return table
