"""The named configurations: the paper's SPNet-S and SPNet-L, and SPNet-tiny for CPUs, for either stage."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from spnet.config import InferenceConfig, ModelConfig, ObjectiveConfig, PathName, TrunkConfig
from spnet.data.augment import Augmentation
from spnet.errors import UserError
from spnet.training.config import DataConfig, OptimiserConfig, RunConfig, WeightsConfig

Stage = Literal["pretrain", "finetune"]


def pretraining(model: ModelConfig, path: PathName) -> RunConfig:
    """COCOPersons pre-training (SPEC section 3): two views, the person queue, a slower trunk ("Mixed LR")."""
    return RunConfig(
        model=model,
        objective=ObjectiveConfig(path=path, scene_samples=256, reid="queue", scalar=10.0, queue_size=65536),
        data=DataConfig(boxes_as_persons=True, augmentation=Augmentation("rrc_scale", views=2)),
        optimiser=OptimiserConfig(weight_decay=1e-3, trunk_learning_rate=1e-5, trunk_weight_decay=0.0),
    )


def finetuning(model: ModelConfig, path: PathName) -> RunConfig:
    """Fine-tuning with identities."""
    return along(RunConfig(model=model, data=DataConfig(augmentation=Augmentation("rrc2"))), path)


def along(run: RunConfig, path: PathName) -> RunConfig:
    """The run along either path; a query is looked for in another view of its scene (supplementary section 9.1)."""
    augmentation = run.data.augmentation
    if path == "query":
        augmentation = replace(augmentation, views=max(2, augmentation.views))
    data = replace(run.data, augmentation=augmentation)
    return replace(run, objective=replace(run.objective, path=path), data=data)


def spnet_s(stage: Stage, path: PathName) -> RunConfig:
    """SPNet-S: ConvNeXt-T, shared heads, no cascade, 128 dims. CUHK-SYSU mAP 93.3, PRW mAP 55.6 (Table 5)."""
    return (pretraining if stage == "pretrain" else finetuning)(ModelConfig(), path)


def spnet_l(stage: Stage, path: PathName) -> RunConfig:
    """SPNet-L: ConvNeXt-B; pre-trained like SPNet-S, fine-tuned with separate heads, two cascade steps, 2,048 dims."""
    trunk = TrunkConfig("convnext_base", drop_path=0.5)
    if stage == "pretrain":
        return pretraining(ModelConfig(trunk), path)
    run = finetuning(ModelConfig(trunk, heads="separate", cascade_steps=2, reid_dims=2048), path)
    crops = replace(run.data.augmentation, crop_size=1024)
    return replace(run, data=replace(run.data, augmentation=crops), weights=WeightsConfig(replicate=True))


def spnet_tiny(stage: Stage, path: PathName) -> RunConfig:
    """SPNet-tiny: a small random trunk and small crops; trains on two CPU cores in minutes."""
    trunk = TrunkConfig("resnet10t", "none", 0.0, {"channels": [32, 64, 64, 128], "stem_width": 24})
    window = (480, 640)
    # crops that hold everyone shrink people: scenes at test time are smaller too
    inference = InferenceConfig(window=(390, 520))
    model = ModelConfig(trunk, location_dims=64, reid_dims=64, inference=inference)
    if stage == "pretrain":
        run = pretraining(model, path)
        augmentation = Augmentation("rrc_scale", 160, (0.9, 1.8), window, views=2)
        optimiser = OptimiserConfig(epochs=18, learning_rate=3e-3, weight_decay=1e-3, warmup_steps=100)
        objective = replace(run.objective, queue_size=4096, teacher_momentum=0.99)
    else:
        run = finetuning(model, path)
        augmentation = Augmentation("rrc2", 160, window=window, views=run.data.augmentation.views)
        optimiser = OptimiserConfig(epochs=60, learning_rate=4e-3, warmup_steps=100)
        objective = replace(run.objective, queue_size=256, scalar=10.0)
    # few candidates: on a CPU, pooling regions costs more than the trunk
    objective = replace(objective, scene_samples=32, pair_samples=32, reid_pair_samples=4)
    data = replace(run.data, augmentation=augmentation, workers=1, keep_megabytes=400)
    return replace(run, objective=objective, data=data, optimiser=optimiser)


CONFIGURATIONS: dict[str, Callable[[Stage, PathName], RunConfig]] = {
    "spnet-s": spnet_s,
    "spnet-l": spnet_l,
    "spnet-tiny": spnet_tiny,
}


def named(name: str, stage: Stage, path: PathName | None = None) -> RunConfig:
    """A named configuration; pre-training is query-centric and fine-tuning object-centric unless `path` says otherwise.

    Raises:
        UserError: an unknown name, with the choices.
    """
    if name not in CONFIGURATIONS:
        raise UserError(f"configuration {name!r} is unknown; choose {', '.join(CONFIGURATIONS)}")
    return CONFIGURATIONS[name](stage, path or ("query" if stage == "pretrain" else "object"))
