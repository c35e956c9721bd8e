"""One table or figure of the paper from nothing to its outcome: data, plan, runs, metrics."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spnet.errors import UserError
from spnet.paper.datasets import (
    COCOPERSONS,
    CUHK_SYSU,
    PRW,
    SYNTHETIC,
    USER_WEIGHTS,
    Sources,
    real_sources,
    synthetic_sources,
)
from spnet.paper.execute import JOBS, make_jobs
from spnet.paper.measurements import evaluator_mismatches
from spnet.paper.paper_table import PaperTable, Scale
from spnet.paper.plan import Plan, make_plan
from spnet.paper.process_pool import run_jobs
from spnet.paper.recipes import released
from spnet.paper.results.collect import collect_outcome
from spnet.paper.results.outcomes import Outcome
from spnet.paper.scales import SMALL_BACKBONE, paper_scale, small_scale
from spnet.paper.slurm import submit
from spnet.runs.index import RunIndex, RunState
from spnet.synthetic import prepare_synthetic
from spnet.training.classifier import train_classifier

logger = logging.getLogger(__name__)

REAL = (COCOPERSONS.key, CUHK_SYSU.key, PRW.key)


@dataclass(frozen=True)
class Setting:
    """How a table is run, as the options of `spnet reproduce` say it.

    Args:
        data: prepared folders by name; that of `synthetic` may be None: then scenes are rendered.
        at_once: jobs side by side on this machine.
        slurm: parameters of submitit; not None: hand the jobs to a cluster.
        weights: files of backbone weights that rows start from (`USER_WEIGHTS`), by name.
    """

    data: Mapping[str, Path | None]
    scale: str = "paper"
    seeds: Sequence[int] = (0,)
    runs: Path = Path("runs")
    at_once: int = 1
    slurm: Mapping[str, str] | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    as_released: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if unknown := sorted(self.weights.keys() - set(USER_WEIGHTS)):
            raise UserError(f"--backbone-weights {unknown[0]}: unknown; choose {', '.join(USER_WEIGHTS)}, with =FILE")
        _sources(self.data, self.runs)

    @property
    def classifier(self) -> Path:
        """What every backbone of the small scale starts from."""
        return self.runs / "classifier.safetensors"

    def plan(self, table: PaperTable) -> Plan:
        """All runs that a table needs."""
        scale: Scale = paper_scale() if self.scale == "paper" else small_scale(self.classifier)
        if self.as_released:
            bases = (scale.spnet_s, scale.spnet_l, scale.spnet_l_resnet, scale.swin_b)
            scale = Scale(f"{scale.name}, as released", *map(released, bases))
        sources = replace(_sources(self.data, self.runs), weights=self.weights)
        return make_plan(table, scale, sources, self.seeds)


def _sources(data: Mapping[str, Path | None], runs: Path) -> Sources:
    if unknown := sorted(data.keys() - {*REAL, SYNTHETIC.key}):
        raise UserError(f"--data {unknown[0]}: unknown; choose {', '.join(REAL)}, each with =DIR, or {SYNTHETIC.key}")
    if SYNTHETIC.key not in data:
        if missing := [key for key, root in data.items() if root is None]:
            raise UserError(f"--data {missing[0]}: where is it? {missing[0]}=DIR, made by spnet prepare {missing[0]}")
        return real_sources({key: root for key, root in data.items() if root is not None})
    if len(data) > 1:
        raise UserError(f"--data {SYNTHETIC.key} stands for all data sets: it cannot be given beside others")
    given = data[SYNTHETIC.key]
    if given is not None and not given.exists():
        raise UserError(f"--data {SYNTHETIC.key}={given}: there is nothing; without =DIR scenes are rendered")
    return synthetic_sources(given or runs / "data" / SYNTHETIC.key)


def prepare(setting: Setting) -> None:
    """Render scenes and train the classifier of the small scale, unless they are there. Raises UserError."""
    root = _sources(setting.data, setting.runs).roots.get(SYNTHETIC.key)
    if root is not None and not root.exists():
        logger.info(f"rendering synthetic scenes: {root}")
        prepare_synthetic(root)
    if setting.scale == "small":
        logger.info(f"the classifier that backbones start from: {setting.classifier}")
        accuracy = train_classifier(SMALL_BACKBONE, setting.classifier)
        logger.info(f"it is right on {accuracy:.1%} of held-out images")


def only_rows(table: PaperTable, names: Sequence[str]) -> PaperTable:
    """The table with some of its rows. Raises UserError with the choices."""
    there = [row.name for row in table.rows]
    if unknown := [name for name in names if name not in there]:
        raise UserError(f"{table.key} has no row {unknown[0]!r}; choose {', '.join(map(repr, there))}")
    kept = tuple(row for row in table.rows if row.name in names)
    gains = tuple(gain for gain in table.gains if {gain[1], gain[2]} <= set(names))
    return replace(table, rows=kept, gains=gains)


def describe_plan(plan: Plan, runs: Path) -> list[str]:
    """What a plan needs and what there is of it, a line each."""
    index = RunIndex(runs)
    needed = plan.needed(index)
    lines = [f"{plan.table.heading}; {len(plan.trainings())} trainings at scale {plan.scale.name}"]
    for training in plan.trainings():
        run = training.find(index)
        state = "not needed" if run.state == RunState.MISSING and training not in needed else run.state
        rows = ", ".join(plan.rows_of(training))
        lines.append(f"  {state:12} seed {training.config.seed}  {run.folder}  ({rows})")
    lines += dict.fromkeys(f"  cannot run   {cell.column}: {cell.problem}" for cell in plan.cells if cell.problem)
    problems = [problem for run in index.runs for problem in run.problems]
    return lines + [f"  note         {line}" for line in [*problems, *evaluator_mismatches(plan, index).values()]]


def run_plan(
    plan: Plan, runs: Path, at_once: int = 1, slurm: Mapping[str, str] | None = None
) -> tuple[Outcome, dict[str, str]]:
    """Do what is missing; returns what is known afterwards, and what went wrong, by job.

    Raises:
        UserError: a cluster that takes no jobs.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    jobs, failed = make_jobs(plan, RunIndex(runs))
    if slurm is not None:
        for name, number in submit(jobs, runs / "slurm", slurm).items():
            logger.info(f"{name}: job {number}")
    else:
        failed |= run_jobs(jobs, at_once, runs / JOBS)
    return collect_outcome(plan, RunIndex(runs)), failed
