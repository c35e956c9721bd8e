"""From a table to the trainings it needs: each once, however many rows share it, and found by what it depends on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.paper.datasets import SearchData, Sources
from spnet.paper.paper_table import PaperTable, Row, Scale
from spnet.runs.folder import training_annotations
from spnet.runs.index import Run, RunIndex, RunState
from spnet.runs.record import fingerprint


@dataclass(frozen=True)
class Training:
    """One training run.

    Args:
        config: without the place of the weights it starts from.
        fingerprint: digest of what its weights depend on.
        after: the pre-training whose weights it starts from.
    """

    config: RunConfig = field(compare=False)  # what counts of it is in the fingerprint
    fingerprint: str
    after: "Training | None" = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """What it is called, and its folder if it has none yet."""
        config = self.config
        where = f"{Path(config.data.root).name}-{config.data.train_split}"
        return f"{config.stage}-{where}-{config.objective.pathway}-{self.fingerprint[:8]}"

    def find(self, runs: RunIndex) -> Run:
        """The best run there is of it."""
        return runs.find(self.fingerprint, self.name)


@dataclass(frozen=True)
class Cell:
    """What one row needs in one column with one seed.

    Args:
        row: the row.
        column: title of our data set.
        seed: of the training.
        training: the run whose metrics stand here; None if it cannot be made, and `problem` says why.
        data: what it is tested on; None: nothing, its time is asked for.
        problem: why there is no training.
    """

    row: Row
    column: str
    seed: int
    training: Training | None
    data: SearchData | None = None
    problem: str = ""

    def trainings(self) -> list[Training]:
        """The pre-training, if there is one, and the run itself."""
        return [run for run in (self.training and self.training.after, self.training) if run is not None]


@dataclass(frozen=True)
class Plan:
    """All of a table at one scale."""

    table: PaperTable
    scale: Scale
    sources: Sources
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]

    def trainings(self) -> list[Training]:
        """Every run once, pre-trainings before what starts from them."""
        return list(dict.fromkeys(training for cell in self.cells for training in cell.trainings()))

    def rows_of(self, training: Training) -> list[str]:
        """Names of the rows that need a training."""
        needing = [cell.row.name for cell in self.cells if training in cell.trainings()]
        return list(dict.fromkeys(needing))

    def needed(self, runs: RunIndex) -> list[Training]:
        """Trainings in their order without those pre-trainings that nothing has to start from any more."""
        asked_for = {cell.training for cell in self.cells}
        final = (RunState.FINISHED, RunState.DIVERGED, RunState.DAMAGED)
        started_from = {training.after for training in self.trainings() if training.find(runs).state not in final}
        return [training for training in self.trainings() if training in asked_for | started_from]


def make_plan(table: PaperTable, scale: Scale, sources: Sources, seeds: Sequence[int]) -> Plan:
    """What is to be trained for a table. What a data set lacks is a problem of the cells that need it."""
    cells = [
        _cell(row, title, scale, sources, seed)
        for row in table.rows
        for title in own_columns(table, sources)
        for seed in seeds
    ]
    return Plan(table, scale, sources, tuple(seeds), tuple(cell for cell in cells if cell is not None))


def configurations(plan: Plan) -> Iterator[tuple[str, RunConfig]]:
    """Every configuration of a plan with what it is for, whether or not its data is there."""
    sources, nowhere = plan.sources, Path()
    for row in plan.table.rows:
        recipe = row.recipe(plan.scale)
        if recipe.pretrain is not None:
            root = sources.roots.get(sources.boxes.key, nowhere)
            yield f"{row.name}: pre-training on {sources.boxes.title}", sources.boxes.pretraining(recipe.pretrain, root)
        if recipe.finetune is None:
            continue
        for title in own_columns(plan.table, sources):
            if data := _search_data(title, sources):
                config = data.finetuning(recipe.finetune, sources.roots.get(data.key, nowhere))
                yield f"{row.name}: fine-tuning on {title}", config


def own_columns(table: PaperTable, sources: Sources) -> dict[str, tuple[str, ...]]:
    """Titles of our columns with their metrics: the paper's, or synthetic scenes in the place of several."""
    metrics: dict[str, tuple[str, ...]] = {}
    for title, names in table.columns:
        own = sources.search.get(title, sources.boxes).title
        metrics[own] = tuple(dict.fromkeys((*metrics.get(own, ()), *names)))
    return metrics


def _search_data(title: str, sources: Sources) -> SearchData | None:
    """The data set of one of our columns; None for the boxes of pre-training."""
    return next((data for data in sources.search.values() if data.title == title), None)


def _cell(row: Row, title: str, scale: Scale, sources: Sources, seed: int) -> Cell | None:
    recipe = row.recipe(scale)
    data = _search_data(title, sources)
    if (recipe.pretrain if data is None else recipe.finetune) is None:
        return None
    try:
        before = run = None
        if recipe.pretrain is not None:
            pretrain = sources.with_weights(recipe.pretrain)
            before = run = _training(sources.boxes.pretraining(pretrain, sources.root(sources.boxes)), seed)
        if data is not None and recipe.finetune is not None:
            finetune = sources.with_weights(recipe.finetune)
            run = _training(data.finetuning(finetune, sources.root(data)), seed, before)
    except UserError as error:
        return Cell(row, title, seed, None, data, str(error))
    return Cell(row, title, seed, run, data)


def _training(config: RunConfig, seed: int, after: Training | None = None) -> Training:
    config = replace(config, seed=seed)
    source = after.fingerprint if after else None
    return Training(config, fingerprint(config, training_annotations(config), source), after)
