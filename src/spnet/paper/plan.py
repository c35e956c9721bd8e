"""From a table to the trainings it needs: each once, however many rows share it, and found by what it depends on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.paper.rows.datasets import SearchData, Sources
from spnet.paper.rows.paper_table import PaperTable, Row, Scale
from spnet.runs.folder import training_annotations
from spnet.runs.record import fingerprint


@dataclass(frozen=True)
class Training:
    """One training run.

    Args:
        config: without the place of the weights it starts from.
        fingerprint: digest of what its weights depend on.
        after: the pre-training whose weights it starts from.
    """

    config: RunConfig
    fingerprint: str
    after: "Training | None" = None

    @property
    def name(self) -> str:
        """What it is called, and its folder if it has none yet."""
        config = self.config
        where = f"{Path(config.data.root).name}-{config.data.train_split}"
        return f"{config.stage}-{where}-{config.objective.pathway}-{self.fingerprint[:8]}"


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

    exhibit: PaperTable
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
                    runs.setdefault(run.fingerprint, run)
        return list(runs.values())

    def index_of(self, training: Training) -> list[str]:
        """Names of the rows that need a training."""
        needing = [
            cell.row.name
            for cell in self.cells
            for run in (cell.training and cell.training.after, cell.training)
            if run is not None and run.fingerprint == training.fingerprint
        ]
        return list(dict.fromkeys(needing))


def make_plan(exhibit: PaperTable, scale: Scale, sources: Sources, seeds: Sequence[int]) -> Plan:
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
            if data := _search_data(title, sources):
                config = data.finetuning(recipe.finetune, sources.roots.get(data.key, nowhere))
                yield f"{row.name}: fine-tuning on {title}", config


def own_titles(exhibit: PaperTable, sources: Sources) -> list[str]:
    """Titles of our columns: the paper's, or drawn streets in the place of several."""
    return [title for title, _ in own_columns(exhibit, sources)]


def own_columns(exhibit: PaperTable, sources: Sources) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Our columns with their metrics."""
    metrics: dict[str, tuple[str, ...]] = {}
    for title, names in exhibit.columns:
        own = sources.search.get(title, sources.boxes).title
        metrics[own] = tuple(dict.fromkeys((*metrics.get(own, ()), *names)))
    return tuple(metrics.items())


def _search_data(title: str, sources: Sources) -> SearchData | None:
    """The data set of one of our columns; None for the boxes of pre-training."""
    return next((data for data in sources.search.values() if data.title == title), None)


def _cell(row: Row, title: str, scale: Scale, sources: Sources, seed: int) -> Cell | None:
    recipe = row.recipe(scale)
    data = _search_data(title, sources)
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
    source = after.fingerprint if after else None
    return Training(config, fingerprint(config, training_annotations(config), source), after)
