"""One table or figure of the paper from nothing to its files: data, plan, runs, results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spnet.errors import UserError
from spnet.paper.execute import jobs_of
from spnet.paper.plan import Plan, make_plan
from spnet.paper.process_pool import run_jobs
from spnet.paper.results.collect import collect_outcome
from spnet.paper.results.outcomes import Outcome
from spnet.paper.rows.datasets import COCOPERSONS, CUHK_SYSU, DRAWN, PRW, Sources, real_sources, synthetic_sources
from spnet.paper.rows.paper_table import PaperTable, Scale
from spnet.paper.rows.scales import SMALL_BACKBONE, paper_scale, small_scale
from spnet.paper.run_index import Runs
from spnet.paper.slurm import submit
from spnet.synthetic import prepare_synthetic
from spnet.training.classifier import train_classifier

REAL = (COCOPERSONS.key, CUHK_SYSU.key, PRW.key)
SCALES = ("paper", "small")


@dataclass(frozen=True)
class Setting:
    """How an exhibit is run.

    Args:
        data: `cocopersons`, `cuhk-sysu`, `prw` with their prepared folders, or `synthetic` with one, or with none: then
            streets are drawn.
        scale: `paper` or `small`.
        seeds: each row is run with each of them.
        runs: folder of runs; those below it are used again.
        at_once: trainings side by side on this machine.
        slurm: parameters of submitit; not None: hand the runs to a cluster.
    """

    data: Mapping[str, Path | None]
    scale: str = "paper"
    seeds: Sequence[int] = (0,)
    runs: Path = Path("runs")
    at_once: int = 1
    slurm: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if self.scale not in SCALES:
            raise UserError(f"--scale {self.scale!r} is unknown; choose {', '.join(SCALES)}")
        _sources(self.data, self.runs)

    @property
    def sources(self) -> Sources:
        """The data sets."""
        return _sources(self.data, self.runs)

    @property
    def classifier(self) -> Path:
        """What every backbone of the small scale starts from."""
        return self.runs / "classifier.safetensors"

    def make_scale(self) -> Scale:
        """The base recipes."""
        return paper_scale() if self.scale == "paper" else small_scale(self.classifier)


def _sources(data: Mapping[str, Path | None], runs: Path) -> Sources:
    if unknown := sorted(data.keys() - {*REAL, DRAWN.key}):
        raise UserError(f"--data {unknown[0]}: unknown; choose {', '.join(REAL)}, each with =DIR, or {DRAWN.key}")
    if DRAWN.key not in data:
        if missing := [key for key, root in data.items() if root is None]:
            raise UserError(f"--data {missing[0]}: where is it? {missing[0]}=DIR, made by spnet prepare {missing[0]}")
        return real_sources({key: root for key, root in data.items() if root is not None})
    if len(data) > 1:
        raise UserError(f"--data {DRAWN.key} stands for all data sets: it cannot be given beside others")
    given = data[DRAWN.key]
    if given is not None and not given.exists():
        raise UserError(f"--data {DRAWN.key}={given}: there is nothing; without =DIR streets are drawn")
    return synthetic_sources(given or runs / "data" / DRAWN.key)


def prepare(setting: Setting) -> None:
    """Draw the streets and train the classifier of the small scale, unless they are there. Raises UserError."""
    streets = setting.sources.roots.get(DRAWN.key)
    if streets is not None and not streets.exists():
        print(f"drawing streets: {streets}", flush=True)
        streets.parent.mkdir(parents=True, exist_ok=True)
        prepare_synthetic(streets)
    if setting.scale == "small":
        print(f"the classifier that backbones start from: {setting.classifier}", flush=True)
        setting.runs.mkdir(parents=True, exist_ok=True)
        accuracy = train_classifier(SMALL_BACKBONE, setting.classifier)
        print(f"it is right on {accuracy:.1%} of held-out images", flush=True)


def plan_of(exhibit: PaperTable, setting: Setting) -> Plan:
    """All runs an exhibit needs."""
    return make_plan(exhibit, setting.make_scale(), setting.sources, setting.seeds)


def only_rows(exhibit: PaperTable, names: Sequence[str]) -> PaperTable:
    """The exhibit with some of its rows. Raises UserError with the choices."""
    there = [row.name for row in exhibit.rows]
    if unknown := [name for name in names if name not in there]:
        raise UserError(f"{exhibit.key} has no row {unknown[0]!r}; choose {', '.join(map(repr, there))}")
    kept = tuple(row for row in exhibit.rows if row.name in names)
    gains = tuple(gain for gain in exhibit.gains if {gain[1], gain[2]} <= set(names))
    return replace(exhibit, rows=kept, gains=gains)


def run_plan(plan: Plan, setting: Setting) -> tuple[Outcome, dict[str, str]]:
    """Do what is missing; returns what is known afterwards, and what went wrong, by run.

    Raises:
        UserError: a cluster that takes no jobs.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    jobs, lost = jobs_of(plan, Runs(setting.runs))
    if setting.slurm is not None:
        for name, number in submit(jobs, setting.runs / "slurm", setting.slurm).items():
            print(f"{name}: job {number}")
    else:
        lost |= run_jobs(jobs, setting.at_once)
    return collect_outcome(plan, Runs(setting.runs)), lost
