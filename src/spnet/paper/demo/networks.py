"""What the demo trains and evaluates: a classifier to start from, a pre-training, then networks with it and without."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from spnet.config.presets import get_preset
from spnet.config.schema import RunConfig, Stage
from spnet.errors import UserError
from spnet.evaluation.runner import evaluate_weights
from spnet.models.checkpoints import WEIGHTS_NAME
from spnet.paper.process_pool import Job, run_jobs
from spnet.paper.rows.recipes import with_model
from spnet.runs.folder import LAST
from spnet.training.classifier import NUM_IMAGES, classifying, train_classifier
from spnet.training.fit import fit

NAME = "spnet-tiny"
SPLIT = "test"
NETWORKS = {"pretrained": "pre-trained", "from_scratch": "not pre-trained"}  # key of the metrics and name of the run
EPOCHS: dict[Stage, int] = {"pretrain": 5, "finetune": 17}  # few: there are more images than SPNet-tiny is tuned for
FEWEST_IMAGES = 40  # that the classifier is trained on
CLASSIFIER = "classifier.safetensors"


def images_of(epochs_scale: float) -> int:
    """How many images the classifier is trained on."""
    return max(FEWEST_IMAGES, round(NUM_IMAGES * epochs_scale))


def classify(seed: int, images: int, folder: Path) -> None:
    """Train the classifier of drawn objects that all backbones start from, as the paper's start from ImageNet's."""
    accuracy = train_classifier(get_preset(NAME, "pretrain").model.backbone, folder / CLASSIFIER, seed, images)
    print(f"it is right on {accuracy:.1%} of held-out images", flush=True)


def configured(stage: Stage, seed: int, epochs_scale: float) -> RunConfig:
    """A training run of the demo, before it is known where its data and the classifier lie."""
    base = get_preset(NAME, stage)
    epochs = max(1, round(EPOCHS[stage] * epochs_scale))
    split = "pretrain" if stage == "pretrain" else "train"
    return replace(
        base,
        data=replace(base.data, train_split=split),
        optimizer=replace(base.optimizer, epochs=epochs),
        seed=seed,
    )


def located(config: RunConfig, output: Path) -> RunConfig:
    """The run on the data of the demo in `output`, with a backbone that starts from the classifier there."""
    backbone = classifying(config.model.backbone, output / "classifier" / CLASSIFIER)
    return with_model(replace(config, data=replace(config.data, root=str(output / "data"))), backbone=backbone)


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
    runs = {
        name: replace(config, weights=replace(config.weights, init_from=source)) for name, source in sources.items()
    }
    _both({name: partial(train, run, folder / name) for name, run in runs.items()})


def evaluate_both(data: Path, runs: Path, folder: Path) -> None:
    """Search with both networks for people they have never seen."""
    _both(
        {
            name: partial(evaluate_weights, runs / name, data=data, split=SPLIT, output=folder / name, num_workers=0)
            for name in NETWORKS
        }
    )


def _both(works: Mapping[str, Callable[[], object]]) -> None:
    """Do it for both networks at once. Raises UserError for what is wrong with either."""
    problems = run_jobs([Job(NETWORKS[name], work) for name, work in works.items()], at_once=len(works))
    for name, problem in problems.items():
        raise UserError(f"{name}: {problem}")
