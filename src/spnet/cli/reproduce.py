"""`spnet reproduce TABLE`: a table or figure of the paper, with our metrics beside the paper's."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spnet.errors import UserError

if TYPE_CHECKING:
    from spnet.paper.plan import Plan
    from spnet.paper.reproduce import Setting

LINE = 160  # characters of a table's line where there is no terminal
SUMMARY = "run a table or figure of the paper: plan, train what is missing, write the table"

EXAMPLES = """
examples:
  spnet reproduce table5 --data cocopersons=DATA/coco cuhk-sysu=DATA/cuhk prw=DATA/prw
  spnet reproduce table5 --rows Classifier Ours-QC --data cocopersons=DATA/coco prw=DATA/prw --print-config
  spnet reproduce table5 table9 --data synthetic --scale small --seeds 0 1 2 --jobs 2

The plan is shown first. Runs below --runs that depend on the same are used again, whatever they are called; interrupted
ones go on; the same command goes on after Ctrl-C. Tables are written below --results as .md, .tex and .json, figures as
.png and .pdf too. `spnet list` lists all tables and figures.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `spnet reproduce`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="table4 ... table9, figure7, figure8 ...")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these rows")
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="NAME=DIR",
        help="cocopersons=DIR cuhk-sysu=DIR prw=DIR (those there are), or synthetic: synthetic scenes for all of them",
    )
    parser.add_argument(
        "--scale", choices=("paper", "small"), default="paper", help="small: minutes a run (default paper)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="S", help="of each row (default 0)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="(default %(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="(default %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="jobs side by side (default 1)")
    parser.add_argument(
        "--slurm",
        nargs="*",
        metavar="KEY=VALUE",
        help="hand the runs to SLURM; parameters of submitit, as slurm_partition=gpu timeout_min=2880",
    )
    parser.add_argument(
        "--backbone-weights",
        nargs="+",
        default=[],
        metavar="NAME=FILE",
        help="weights that rows of Table 3 start from: solider=FILE, solider-cocopersons=FILE",
    )
    parser.add_argument(
        "--as-released", action="store_true", help="with the settings of the authors' code where they differ"
    )
    parser.add_argument("--print-config", action="store_true", help="print the plan and every resolved configuration")


def run(arguments: argparse.Namespace) -> None:
    """Plan, run, write, print. Raises UserError, KeyboardInterrupt."""
    from spnet.files import exclusive_lock
    from spnet.paper.figures import get_table
    from spnet.paper.reproduce import describe_plan, only_rows, prepare

    tables = [get_table(key) for key in arguments.tables]
    if arguments.rows:
        tables = [only_rows(table, arguments.rows) for table in tables]
    setting = make_setting(arguments)
    if arguments.print_config:
        for table in tables:
            plan = setting.plan(table)
            print("\n".join(describe_plan(plan, setting.runs)))
            show_configurations(plan)
        return
    with exclusive_lock(setting.runs):
        prepare(setting)
        for table in tables:
            plan = setting.plan(table)
            print("\n".join(describe_plan(plan, setting.runs)), flush=True)
            run_and_write(plan, setting, arguments.results)


def make_setting(arguments: argparse.Namespace) -> "Setting":
    """How everything is run. Raises UserError for options that do not fit."""
    from spnet.paper.reproduce import Setting

    if arguments.jobs < 1:
        raise UserError(f"--jobs {arguments.jobs}: must be 1 or more")
    if negative := [seed for seed in arguments.seeds if seed < 0]:
        raise UserError(f"--seeds {negative[0]}: must be 0 or more")
    data = dict[str, Path | None]()
    for name, root in map(_data, arguments.data):
        if name in data:
            raise UserError(f"--data {name}: given twice")
        data[name] = root
    slurm = None if arguments.slurm is None else dict(_pair("--slurm", text) for text in arguments.slurm)
    weights = {name: Path(file) for name, file in (_pair("--backbone-weights", t) for t in arguments.backbone_weights)}
    seeds = tuple(dict.fromkeys(arguments.seeds))
    return Setting(data, arguments.scale, seeds, arguments.runs, arguments.jobs, slurm, weights, arguments.as_released)


def run_and_write(plan: "Plan", setting: "Setting", results: Path) -> None:
    """Run what is missing, write the files, print the table and what went wrong."""
    from rich.console import Console

    from spnet.paper.reproduce import run_plan
    from spnet.paper.results.render import as_terminal, write_results

    try:
        outcome, failed = run_plan(plan, setting.runs, setting.at_once, setting.slurm)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    console = Console()
    console.print(as_terminal(outcome), width=None if console.is_terminal else LINE)
    for name, problem in failed.items():
        print(f"not done: {name}: {problem}")
    print("results: " + " ".join(map(str, write_results(outcome, results))))


def show_configurations(plan: "Plan") -> None:
    """Every run's keys and values, as YAML documents."""
    from spnet.config.io import to_yaml
    from spnet.paper.plan import configurations

    for what, config in configurations(plan):
        print(f"--- # {plan.table.key}, {what}\n{to_yaml(config)}", end="")


def _data(text: str) -> tuple[str, Path | None]:
    name, equals, value = text.partition("=")
    if equals and not value:
        raise UserError(f"--data {text}: nothing after =")
    return name, Path(value) if equals else None


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{option} {text}: expected KEY=VALUE")
    return name, value
