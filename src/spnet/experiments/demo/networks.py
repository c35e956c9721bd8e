"""What the demo trains and evaluates: one pre-training, then two networks side by side, with it and without."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from spnet.errors import UserError
from spnet.experiments.base import Stage, named
from spnet.experiments.running.side_by_side import Job, run_jobs
from spnet.model.weights import WEIGHTS_NAME
from spnet.search.evaluate import evaluate_weights
from spnet.training.config import RunConfig
from spnet.training.fit import fit
from spnet.training.run_files import LAST

NAME = "spnet-tiny"
SPLIT = "test"
NETWORKS = {"pretrained": "pre-trained", "from_scratch": "from scratch"}  # key of the metrics and name of the run
EPOCHS: dict[Stage, int] = {"pretrain": 6, "finetune": 16}  # few: there are more pictures than SPNet-tiny is tuned for


def configured(stage: Stage, seed: int, epochs_scale: float) -> RunConfig:
    """A training run of the demo, before it is known where its data lies."""
    base = named(NAME, stage)
    epochs = max(1, round(EPOCHS[stage] * epochs_scale))
    split = "pretrain" if stage == "pretrain" else "train"
    return replace(
        base,
        data=replace(base.data, train_split=split),
        optimiser=replace(base.optimiser, epochs=epochs),
        seed=seed,
    )


def located(config: RunConfig, data: Path) -> RunConfig:
    """The run on the demo's data."""
    return replace(config, data=replace(config.data, root=str(data)))


def train(config: RunConfig, folder: Path) -> None:
    """Train, from the last checkpoint of an interrupted attempt if there is one."""
    if (folder / WEIGHTS_NAME).is_file():
        return
    resumable = (folder / LAST).is_file()
    if not resumable:
        shutil.rmtree(folder, ignore_errors=True)
    fit(config, folder, resume=resumable)


def fine_tune_both(config: RunConfig, pretrained: Path, folder: Path) -> None:
    """Both trainings at once: two with one thread each take less time than two in turn with two."""
    sources = {"pretrained": str(pretrained), "from_scratch": None}
    runs = {name: replace(config, weights=replace(config.weights, source=source)) for name, source in sources.items()}
    _both({name: partial(train, run, folder / name) for name, run in runs.items()})


def evaluate_both(data: Path, runs: Path, folder: Path) -> None:
    """Search with both networks for people they have never seen."""
    _both(
        {
            name: partial(evaluate_weights, runs / name, data=data, split=SPLIT, output=folder / name, workers=0)
            for name in NETWORKS
        }
    )


def _both(works: Mapping[str, Callable[[], object]]) -> None:
    """Do it for both networks at once. Raises UserError for what is wrong with either."""
    problems = run_jobs([Job(NETWORKS[name], work) for name, work in works.items()], at_once=len(works))
    for name, problem in problems.items():
        raise UserError(f"{name}: {problem}")
