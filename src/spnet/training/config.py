"""The configuration of a whole training run."""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Literal

from spnet.config import ModelConfig, ObjectiveConfig
from spnet.data.augment import Augmentation
from spnet.errors import UserError

Precision = Literal["auto", "32-true", "16-mixed", "bf16-mixed"]


@dataclass(frozen=True)
class DataConfig:
    """What a run trains and is measured on.

    Args:
        root: a prepared data set, made by `spnet prepare`.
        train_split: annotations trained on, `annotations/<split>.json`.
        boxes_as_persons: ignore identities: every annotated box is its own person (pre-training on plain boxes).
        augmentation: views of the training scenes.
        batch_size: scenes of a batch, all views counted.
        workers: processes that read pictures; 0 reads them in the training process.
        keep_megabytes: memory of each such process for decoded pictures, which are then not decoded again.
    """

    root: str = ""
    train_split: str = "train"
    boxes_as_persons: bool = False
    augmentation: Augmentation = Augmentation()
    batch_size: int = 8
    workers: int = 4
    keep_megabytes: int = 0


@dataclass(frozen=True)
class OptimiserConfig:
    """How weights change (supplementary Table 7, bottom). AdamW, linear warm-up, then cosine to 0 by step.

    Args:
        epochs: passes over the training scenes.
        learning_rate: of everything but the trunk.
        weight_decay: of everything but the trunk.
        trunk_learning_rate: of the trunk; not given: as the rest.
        trunk_weight_decay: of the trunk; not given: as the rest.
        freeze_trunk: leave the trunk as it is.
        warmup_steps: steps of warm-up from 1/1000, at most one epoch less a step.
        clip_norm: largest norm of the gradient.
        precision: `auto` is 16-mixed on a GPU, bf16-mixed on a CPU that has it, 32-true elsewhere.
        checkpoint_steps: steps between two checkpoints within an epoch; 0: at its end only.
    """

    epochs: int = 30
    learning_rate: float = 1e-4
    weight_decay: float = 5e-4
    trunk_learning_rate: float | None = None
    trunk_weight_decay: float | None = None
    freeze_trunk: bool = False
    warmup_steps: int = 1000
    clip_norm: float = 10.0
    precision: Precision = "auto"
    checkpoint_steps: int = 1000


@dataclass(frozen=True)
class WeightsConfig:
    """Where the network's weights come from, beyond the trunk's.

    Args:
        source: a finished run's folder or a weights file; not given: start afresh.
        replicate: copy step 0 into the cascade's steps too (PT-Rep).
        partial: accept weights that fit only in part; counts are printed.
    """

    source: str | None = None
    replicate: bool = False
    partial: bool = False


@dataclass(frozen=True)
class RunConfig:
    """Everything a training run depends on; saved with the run.

    Args:
        model: the network.
        objective: what is trained.
        data: what it is trained on.
        optimiser: how weights change.
        weights: where they come from.
        seed: of weights, order and augmentation.
    """

    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    data: DataConfig = DataConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    weights: WeightsConfig = WeightsConfig()
    seed: int = 0


LIMITS: dict[str, tuple[float, float]] = {  # smallest and largest values that make sense
    "objective.scene_samples": (1, math.inf),
    "objective.pairs": (1, math.inf),
    "objective.pair_samples": (1, math.inf),
    "objective.reid_iou": (0, 1),
    "objective.reid_pair_samples": (0, math.inf),
    "objective.scalar": (0, math.inf),
    "objective.queue_size": (1, math.inf),
    "objective.momentum": (0, 1),
    "objective.teacher_momentum": (0, 1),
    "data.batch_size": (1, math.inf),
    "data.workers": (0, math.inf),
    "data.keep_megabytes": (0, math.inf),
    "optimiser.epochs": (1, math.inf),
    "optimiser.learning_rate": (0, math.inf),
    "optimiser.weight_decay": (0, math.inf),
    "optimiser.trunk_learning_rate": (0, math.inf),
    "optimiser.trunk_weight_decay": (0, math.inf),
    "optimiser.warmup_steps": (0, math.inf),
    "optimiser.clip_norm": (0, math.inf),
    "optimiser.checkpoint_steps": (0, math.inf),
    "seed": (0, 2**32 - 1),
}


def check_run_config(config: RunConfig) -> None:
    """Raise UserError naming the key whose value is out of its range."""
    for key, (least, most) in LIMITS.items():
        value = reduce(getattr, key.split("."), config)
        if value is not None and not least <= value <= most:  # type: ignore[operator]
            raise UserError(f"{key} is {value}, must be {least} " + ("or more" if most == math.inf else f"to {most}"))
