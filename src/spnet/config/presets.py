"""Presets for either stage: the paper's SPNet-S and SPNet-L, SPNet-lite for one's own video, SPNet-tiny for CPUs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from spnet.config.schema import (
    Augmentation,
    BackboneConfig,
    DataConfig,
    InferenceConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PathwayName,
    RunConfig,
    Stage,
)
from spnet.errors import UserError


def base(model: ModelConfig, stage: Stage, pathway: PathwayName) -> RunConfig:
    """What presets change (docs/method.md, "Training"): fine-tuning with identities, or pre-training on COCOPersons.

    Pre-training has two views, a teacher and a slower backbone ("Mixed LR").
    """
    if stage == "finetune":
        return with_pathway(RunConfig(model=model, data=DataConfig(augmentation=Augmentation("rrc2"))), pathway)
    return RunConfig(
        stage=stage,
        model=model,
        objective=ObjectiveConfig(
            pathway=pathway, samples_per_image=256, reid_loss="contrastive", logit_scale=10.0, queue_size=65536
        ),
        data=DataConfig(unique_id_per_box=True, augmentation=Augmentation("rrc_scale", num_views=2)),
        optimizer=OptimizerConfig(weight_decay=1e-3, backbone_lr=1e-5, backbone_weight_decay=0.0),
    )


def with_pathway(run: RunConfig, pathway: PathwayName) -> RunConfig:
    """Set the pathway of a run; query-centric, another view of each scene is searched (supplementary section 9.1)."""
    if pathway == "query":
        augmentation = run.data.augmentation
        run = with_values(run, "data", augmentation=replace(augmentation, num_views=max(2, augmentation.num_views)))
    return with_values(run, "objective", pathway=pathway)


def with_values(run: RunConfig, group: str, **values: Any) -> RunConfig:
    """Replace values of one group of a run's keys: `with_values(run, "optimizer", epochs=3)`."""
    return replace(run, **{group: replace(getattr(run, group), **values)})


def spnet_s(stage: Stage, pathway: PathwayName) -> RunConfig:
    """SPNet-S: ConvNeXt-T, shared heads, no cascade, 128 dims. CUHK-SYSU mAP 93.3, PRW mAP 55.6 (Table 5)."""
    return base(ModelConfig(), stage, pathway)


def spnet_l(stage: Stage, pathway: PathwayName) -> RunConfig:
    """SPNet-L: ConvNeXt-B; pre-trained like SPNet-S, fine-tuned with separate heads, two cascade steps, 2,048 dims."""
    backbone = BackboneConfig("convnext_base", drop_path=0.5)
    if stage == "pretrain":
        return base(ModelConfig(backbone), stage, pathway)
    run = base(ModelConfig(backbone, heads="separate", cascade_steps=2, reid_dim=2048), stage, pathway)
    crops = replace(run.data.augmentation, crop_size=1024)
    return with_values(with_values(run, "data", augmentation=crops), "weights", replicate=True)


def spnet_tiny(stage: Stage, pathway: PathwayName) -> RunConfig:
    """SPNet-tiny: a small random backbone and small crops; trains on two CPU cores in minutes."""
    backbone = BackboneConfig("resnet10t", "none", 0.0, {"channels": [32, 64, 64, 128], "stem_width": 24})
    # crops that hold all boxes shrink people: scenes at test time are smaller too
    inference = InferenceConfig(min_size=390, max_size=520)
    run = _for_cpu(ModelConfig(backbone, location_dim=64, reid_dim=64, inference=inference), stage, pathway)
    if stage == "pretrain":
        augmentation = Augmentation("rrc_scale", 160, (0.9, 1.8), 480, 640, num_views=2)
        optimizer = OptimizerConfig(epochs=18, lr=3e-3, weight_decay=1e-3, warmup_steps=100)
    else:
        augmentation = Augmentation("rrc2", 160, min_size=480, max_size=640, num_views=run.data.augmentation.num_views)
        optimizer = OptimizerConfig(epochs=60, lr=4e-3, warmup_steps=100)
    return replace(with_values(run, "data", augmentation=augmentation, cache_mb=400), optimizer=optimizer)


def spnet_lite(stage: Stage, pathway: PathwayName) -> RunConfig:
    """SPNet-lite: a small ImageNet backbone, for one's own video; small enough to be trained on a CPU."""
    inference = InferenceConfig(min_size=360, max_size=640)
    backbone = BackboneConfig("tf_efficientnet_lite0", "timm", 0.0)
    run = _for_cpu(ModelConfig(backbone, location_dim=64, reid_dim=64, inference=inference), stage, pathway)
    # few crops around all boxes: they make the people of a wide scene so narrow that half of them fit no anchor
    augmentation = Augmentation("rrc_window", 320, (0.5, 1.5), 480, 800, 0.1, run.data.augmentation.num_views)
    # depthwise convolutions are slower in bfloat16 on a CPU; long training is what precise boxes need most
    decay = 1e-3 if stage == "pretrain" else OptimizerConfig.weight_decay
    optimizer = OptimizerConfig(lr=1e-3, weight_decay=decay, warmup_steps=100, precision="32-true")
    data = replace(run.data, augmentation=augmentation, batch_size=4, cache_mb=1000)
    return replace(run, data=data, optimizer=optimizer)


def _for_cpu(model: ModelConfig, stage: Stage, pathway: PathwayName) -> RunConfig:
    """A small memory, and few candidates: on a CPU, pooling regions costs more than the backbone."""
    few = {"samples_per_image": 32, "samples_per_pair": 32, "reid_samples_per_pair": 4}
    memory = (
        {"queue_size": 4096, "ema_decay": 0.99} if stage == "pretrain" else {"queue_size": 256, "logit_scale": 10.0}
    )
    run = with_values(base(model, stage, pathway), "data", num_workers=1)
    return with_values(run, "objective", **few, **memory)


PRESETS: dict[str, Callable[[Stage, PathwayName], RunConfig]] = {
    "spnet-s": spnet_s,
    "spnet-l": spnet_l,
    "spnet-lite": spnet_lite,
    "spnet-tiny": spnet_tiny,
}


def as_released(run: RunConfig) -> RunConfig:
    """The run with the settings of the authors' code where they differ from the supplementary's words.

    Each is a key of its own; the table is in docs/method.md, "As released".
    """
    augmentation = replace(run.data.augmentation, scale_range=(1.5, 3.0), antialias=False)
    inference = replace(run.model.inference, antialias=False, precision="float16")
    run = with_values(run, "data", augmentation=augmentation, drop_last=False)
    run = with_values(run, "model", box_init="torch", inference=inference)
    return with_values(
        run,
        "objective",
        pair_anchors="lowest_index",
        lwf_loss="binary_cross_entropy",
        teacher_drop_path=True,
        ema_update="before_step",
        frozen_mode="train",
    )


def get_preset(name: str, stage: Stage, pathway: PathwayName | None = None) -> RunConfig:
    """A preset by name; pre-training is query-centric and fine-tuning object-centric unless `pathway` says otherwise.

    Raises:
        UserError: an unknown name, with the choices.
    """
    if name not in PRESETS:
        raise UserError(f"preset {name!r} is unknown; choose {', '.join(PRESETS)}")
    return PRESETS[name](stage, pathway or ("query" if stage == "pretrain" else "object"))


def list_presets() -> list[str]:
    """Names of the presets, as `get_preset` and `spnet train` take them."""
    return list(PRESETS)


def name_of(model: ModelConfig) -> str:
    """The preset that has a network of this architecture, `custom` where none has."""
    for name, preset in PRESETS.items():
        for stage in get_args(Stage):
            if _architecture(preset(stage, "object").model) == _architecture(model):
                return name
    return "custom"


def _architecture(model: ModelConfig) -> ModelConfig:
    """The same without what changes no shape: initial weights, stochastic depth, test time."""
    backbone = replace(model.backbone, weights="none", drop_path=0.0, semantic_weight=None)
    return replace(model, backbone=backbone, box_init="he", inference=InferenceConfig())
