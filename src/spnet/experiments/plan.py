"""From a table to the trainings it needs: each once, however many rows share it, and found by what it depends on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from spnet.errors import UserError
from spnet.experiments.datasets import BoxData, SearchData, Sources
from spnet.experiments.exhibits import Exhibit, Row, Scale
from spnet.model.weights import WEIGHTS_NAME
from spnet.training.config import RunConfig
from spnet.training.fit import LAST, training_annotations
from spnet.training.record import RECORD_NAME, dependencies, read_record

State = Literal["finished", "diverged", "interrupted", "missing"]
STATES: tuple[State, ...] = get_args(State)  # the best first: of two runs of a training the better one counts


@dataclass(frozen=True)
class Training:
    """One training run.

    Args:
        config: without the place of the weights it starts from.
        depends: digest of what its weights depend on.
        after: the pre-training whose weights it starts from.
    """

    config: RunConfig
    depends: str
    after: "Training | None" = None

    @property
    def name(self) -> str:
        """What it is called, and its folder if it has none yet."""
        data = self.config.data
        stage = "pretrain" if data.boxes_as_persons else "finetune"
        return f"{stage}-{Path(data.root).name}-{data.train_split}-{self.config.objective.path}-{self.depends[:8]}"


@dataclass(frozen=True)
class Cell:
    """What one row needs in one column with one seed.

    Args:
        row: the row.
        column: title of our data set.
        seed: of the training.
        training: the run whose figures stand here; None if it cannot be made, and `problem` says why.
        data: what it is tested on; None: nothing, its time is asked for.
        problem: why there is no training.
    """

    row: Row
    column: str
    seed: int
    training: Training | None
    data: SearchData | None = None
    problem: str = ""


@dataclass(frozen=True)
class Plan:
    """All of an exhibit at one scale."""

    exhibit: Exhibit
    scale: Scale
    sources: Sources
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]

    def trainings(self) -> list[Training]:
        """Every run once, pre-trainings before what starts from them."""
        runs: dict[str, Training] = {}
        for cell in self.cells:
            for run in (cell.training and cell.training.after, cell.training):
                if run is not None:
                    runs.setdefault(run.depends, run)
        return list(runs.values())

    def rows_of(self, training: Training) -> list[str]:
        """Names of the rows that need a training."""
        needing = [
            cell.row.name
            for cell in self.cells
            for run in (cell.training and cell.training.after, cell.training)
            if run is not None and run.depends == training.depends
        ]
        return list(dict.fromkeys(needing))


def make_plan(exhibit: Exhibit, scale: Scale, sources: Sources, seeds: Sequence[int]) -> Plan:
    """What is to be trained for an exhibit. What a data set lacks is a problem of the cells that need it."""
    cells = [
        _cell(row, title, scale, sources, seed)
        for row in exhibit.rows
        for title in own_titles(exhibit, sources)
        for seed in seeds
    ]
    return Plan(exhibit, scale, sources, tuple(seeds), tuple(cell for cell in cells if cell is not None))


def configurations(plan: Plan) -> Iterator[tuple[str, RunConfig]]:
    """Every configuration of a plan with what it is for, whether or not its data is there."""
    sources, nowhere = plan.sources, Path()
    for row in plan.exhibit.rows:
        recipe = row.recipe(plan.scale)
        if recipe.pretrain is not None:
            root = sources.roots.get(sources.boxes.key, nowhere)
            yield f"{row.name}: pre-training on {sources.boxes.title}", sources.boxes.pretraining(recipe.pretrain, root)
        if recipe.finetune is None:
            continue
        for title in own_titles(plan.exhibit, sources):
            for data in {data for data in sources.search.values() if data.title == title}:
                config = data.finetuning(recipe.finetune, sources.roots.get(data.key, nowhere))
                yield f"{row.name}: fine-tuning on {title}", config


def own_titles(exhibit: Exhibit, sources: Sources) -> list[str]:
    """Titles of our columns: the paper's, or drawn streets in the place of several."""
    return list(dict.fromkeys(_data(title, sources).title for title, _ in exhibit.columns))


def own_columns(exhibit: Exhibit, sources: Sources) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Our columns with their metrics."""
    metrics: dict[str, tuple[str, ...]] = {}
    for title, names in exhibit.columns:
        own = _data(title, sources).title
        metrics[own] = tuple(dict.fromkeys((*metrics.get(own, ()), *names)))
    return tuple(metrics.items())


def _data(title: str, sources: Sources) -> BoxData | SearchData:
    return sources.search.get(title, sources.boxes)


def _cell(row: Row, title: str, scale: Scale, sources: Sources, seed: int) -> Cell | None:
    recipe = row.recipe(scale)
    data = next((data for data in sources.search.values() if data.title == title), None)
    if (data is None and recipe.pretrain is None) or (data is not None and recipe.finetune is None):
        return None
    try:
        before = None
        if recipe.pretrain is not None:
            before = _training(sources.boxes.pretraining(recipe.pretrain, sources.root(sources.boxes)), seed)
        if data is None or recipe.finetune is None:
            return Cell(row, title, seed, before)
        run = _training(data.finetuning(recipe.finetune, sources.root(data)), seed, before)
    except UserError as error:
        return Cell(row, title, seed, None, data, str(error))
    return Cell(row, title, seed, run, data)


def _training(config: RunConfig, seed: int, after: Training | None = None) -> Training:
    config = replace(config, seed=seed)
    source = after.depends if after else None
    return Training(config, dependencies(config, training_annotations(config), source), after)


@dataclass(frozen=True)
class Found:
    """What there is of a training."""

    folder: Path
    state: State
    reason: str = ""


class Runs:
    """The runs below a folder, found by what they depend on.

    Args:
        folder: of all runs; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self._found: dict[str, Found] = {}
        for file in sorted(folder.rglob(RECORD_NAME)) if folder.is_dir() else []:
            self._add(file.parent)

    def find(self, training: Training) -> Found:
        """The best there is of a training; where it will be, if there is nothing."""
        return self._found.get(training.depends) or Found(self.folder / training.name, "missing")

    def _add(self, run: Path) -> None:
        try:
            record = read_record(run)
        except UserError as error:
            self.problems.append(str(error))
            return
        if record is None:
            return
        state: State = "missing"
        if (run / WEIGHTS_NAME).is_file():
            state = "finished"
        elif record.state == "diverged":
            state = "diverged"
        elif (run / LAST).is_file():
            state = "interrupted"
        known = self._found.get(record.depends)
        if known is None or STATES.index(state) < STATES.index(known.state):
            self._found[record.depends] = Found(run, state, record.reason)


def needed_trainings(plan: Plan, runs: Runs) -> list[Training]:
    """Runs that must be there, in the plan's order: a pre-training need not be, once all that starts from it is."""
    trainings = plan.trainings()
    asked_for = {cell.training.depends for cell in plan.cells if cell.training}
    to_do = [run for run in trainings if runs.find(run).state not in ("finished", "diverged")]
    started_from = {run.after.depends for run in to_do if run.after}
    return [run for run in trainings if run.depends in asked_for | started_from]
