"""`spnet demo`: data, pre-training, fine-tuning, evaluation and a report, in one go."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table

SUMMARY = "show all of it on synthetic scenes: pre-train, fine-tune, search, report"

DESCRIPTION = (
    "Renders a synthetic data set, trains a classifier of rendered objects for all backbones to start from (as the "
    "paper's start from ImageNet's), pre-trains spnet-tiny query-centric, fine-tunes it object-centric, fine-tunes "
    "once more without pre-training to compare, searches both for people never seen, then indexes two rendered videos "
    "and searches them too. Writes OUTPUT/metrics.json, report.html, search.html, and weights.safetensors to search "
    "with. --quick does the same with less data and fewer epochs. Interrupted, the same command goes on; what is "
    "finished is not done again."
)


class Option(NamedTuple):
    """An option with its default and that of `--quick`."""

    kind: type
    metavar: str
    usual: object
    quick: object
    what: str


OPTIONS = {  # by the field of `Demo`
    "output": Option(Path, "DIR", Path("runs/demo"), Path("runs/demo-quick"), "the folder of everything"),
    "scenes": Option(int, "N", 900, 180, "training scenes, and images to pre-train on"),
    "identities": Option(int, "N", 150, 30, "people known in training"),
    "test_scenes": Option(int, "N", 150, 40, "scenes that are searched"),
    "test_identities": Option(int, "N", 50, 12, "people searched for, others than in training"),
    "seed": Option(int, "N", 0, 0, "of data and training"),
    "epochs_scale": Option(float, "F", 1.0, 0.2, "share of the usual training, for trials"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet demo`."""
    parser.description = DESCRIPTION
    parser.add_argument("--quick", action="store_true", help="all of it once, in two to three minutes of two CPU cores")
    for name, option in OPTIONS.items():
        default = f"default {option.usual}" + (f"; --quick: {option.quick}" if option.quick != option.usual else "")
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=option.kind, metavar=option.metavar, help=f"{option.what} ({default})"
        )


def resolve(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was given, and the defaults of the rest."""
    given = {name: getattr(arguments, name) for name in OPTIONS}
    defaults = {name: option.quick if arguments.quick else option.usual for name, option in OPTIONS.items()}
    return {name: defaults[name] if value is None else value for name, value in given.items()}


def run(arguments: argparse.Namespace) -> None:
    """Do it, print the metrics, and say where the results are. Raises UserError, KeyboardInterrupt."""
    from rich.console import Console

    from spnet.paper.demo import Demo, run_demo

    demo = Demo(**resolve(arguments))
    try:
        metrics = run_demo(demo)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    Console().print(_table(metrics))
    print(f"took {metrics['seconds']['total']:.0f} s in all, without the starting of processes")
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
