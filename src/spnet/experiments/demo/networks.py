"""What the demo trains and evaluates: a classifier to start from, a pre-training, then networks with it and without."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from spnet.errors import UserError
from spnet.experiments.base import Stage, named
from spnet.experiments.rows.classifier import PICTURES, classifying, train_classifier
from spnet.experiments.rows.recipes import with_model
from spnet.experiments.running.side_by_side import Job, run_jobs
from spnet.model.weights import WEIGHTS_NAME
from spnet.search.evaluate import evaluate_weights
from spnet.training.config import RunConfig
from spnet.training.fit import fit
from spnet.training.run_files import LAST

NAME = "spnet-tiny"
SPLIT = "test"
NETWORKS = {"pretrained": "pre-trained", "from_scratch": "not pre-trained"}  # key of the metrics and name of the run
EPOCHS: dict[Stage, int] = {"pretrain": 5, "finetune": 17}  # few: there are more pictures than SPNet-tiny is tuned for
FEWEST_PICTURES = 40  # that the classifier is trained on
CLASSIFIER = "classifier.safetensors"


def pictures_of(epochs_scale: float) -> int:
    """How many pictures the classifier is trained on."""
    return max(FEWEST_PICTURES, round(PICTURES * epochs_scale))


def classify(seed: int, pictures: int, folder: Path) -> None:
    """Train the classifier of drawn objects that all trunks start from, as the paper's start from ImageNet's."""
    accuracy = train_classifier(named(NAME, "pretrain").model.trunk, folder / CLASSIFIER, seed, pictures)
    print(f"it is right on {accuracy:.1%} of held-out pictures", flush=True)


def configured(stage: Stage, seed: int, epochs_scale: float) -> RunConfig:
    """A training run of the demo, before it is known where its data and the classifier lie."""
    base = named(NAME, stage)
    epochs = max(1, round(EPOCHS[stage] * epochs_scale))
    split = "pretrain" if stage == "pretrain" else "train"
    return replace(
        base,
        data=replace(base.data, train_split=split),
        optimiser=replace(base.optimiser, epochs=epochs),
        seed=seed,
    )


def located(config: RunConfig, output: Path) -> RunConfig:
    """The run on the data of the demo in `output`, with a trunk that starts from the classifier there."""
    trunk = classifying(config.model.trunk, output / "classifier" / CLASSIFIER)
    return with_model(replace(config, data=replace(config.data, root=str(output / "data"))), trunk=trunk)


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
