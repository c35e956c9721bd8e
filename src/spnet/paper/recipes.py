"""A recipe is one network's way: a pre-training or none, then a fine-tuning. Each change is about one thing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from spnet.config.presets import as_released, with_pathway, with_values
from spnet.config.schema import BackboneConfig, PathwayName, RunConfig


@dataclass(frozen=True)
class Recipe:
    """What is trained, one after the other. Data sets and seeds come later (`paper/plan.py`).

    Args:
        pretrain: on boxes alone; None: the fine-tuning starts from the backbone's initial weights.
        finetune: with identities, on each data set; None: only the pre-training is asked for (Table 4).
    """

    pretrain: RunConfig | None
    finetune: RunConfig | None


Patch = Callable[[Recipe], Recipe]
Change = Callable[[RunConfig], RunConfig]


def apply(recipe: Recipe, *changes: Patch) -> Recipe:
    """The recipe after all changes, in their order."""
    for change in changes:
        recipe = change(recipe)
    return recipe


def in_pretraining(change: Change) -> Patch:
    """Change the pre-training, if there is one."""
    return lambda recipe: replace(recipe, pretrain=recipe.pretrain and change(recipe.pretrain))


def in_finetuning(change: Change) -> Patch:
    """Change the fine-tuning, if there is one."""
    return lambda recipe: replace(recipe, finetune=recipe.finetune and change(recipe.finetune))


def in_both(change: Change) -> Patch:
    """Change the pre-training and the fine-tuning."""
    return lambda recipe: apply(recipe, in_pretraining(change), in_finetuning(change))


def values(group: str, **fields: Any) -> Change:
    """Other values of one group of keys."""
    return lambda run: with_values(run, group, **fields)


def without_pretraining(recipe: Recipe) -> Recipe:
    """The baseline: fine-tuned from the ImageNet classifier."""
    return replace(recipe, pretrain=None)


def without_finetuning(recipe: Recipe) -> Recipe:
    """The pre-training alone."""
    return replace(recipe, finetune=None)


def on_backbone(backbone: BackboneConfig) -> Patch:
    """Another backbone, or one that starts from other weights."""
    return in_both(values("model", backbone=backbone))


def backbone_from(weights: str, semantic_weight: float | None = None) -> Patch:
    """The backbone's initial weights: a name of the configuration, or one that stands for a file of the user's.

    SOLIDER's semantic weight is Swin's; the backbone that stands for it at small scale has none.
    """

    def start(run: RunConfig) -> RunConfig:
        backbone = run.model.backbone
        semantic = semantic_weight if backbone.name.startswith("swin") else None
        return with_values(run, "model", backbone=replace(backbone, weights=weights, semantic_weight=semantic))

    return in_both(start)


def pretrain_pathway(pathway: PathwayName) -> Patch:
    """The pathway of pre-training: QC or OC."""
    return in_pretraining(lambda run: with_pathway(run, pathway))


def finetune_pathway(pathway: PathwayName) -> Patch:
    """The pathway of fine-tuning and of the test: OC-FT or QC-FT (Table 8)."""
    return in_finetuning(lambda run: with_pathway(run, pathway))


def pretrained_on(split: str) -> Patch:
    """Another part of the pre-training data: p20 to p180."""
    return in_pretraining(values("data", train_split=split))


def pretrained_for(share: float) -> Patch:
    """Another number of epochs of pre-training, as a share of the usual one."""
    return in_pretraining(lambda run: with_values(run, "optimizer", epochs=max(1, round(share * run.optimizer.epochs))))


def architecture(heads: Literal["shared", "separate"], cascade_steps: int, wide: bool = False) -> Patch:
    """The fine-tuned network of Table 7, top; `wide` re-id embeddings are 16 times as long (2,048 for 128)."""

    def change(run: RunConfig) -> RunConfig:
        reid_dim = run.model.location_dim * (16 if wide else 1)
        return with_values(run, "model", heads=heads, cascade_steps=cascade_steps, reid_dim=reid_dim)

    return in_finetuning(change)


def logits(kind: Literal["fixed", "batch"], sign: Literal["negative", "positive"]) -> Patch:
    """How the class logit comes from the offset's norm (Table 9)."""
    return in_both(values("model", logit_norm=kind, logit_sign=sign))


# the settings of the authors' code in both stages (docs/method.md, "As released")
released = in_both(as_released)
# Table 5, "Random Init."
random_backbone = backbone_from("none")
# Table 6: re-id alone, on annotated boxes; or a re-id loss that sees annotated boxes alone
reid_only = in_pretraining(values("objective", detection=False, reid_box_source="gt"))
reid_of_annotated_boxes = in_pretraining(values("objective", reid_box_source="gt"))
# Table 7, bottom: the backbone learns as fast as the rest, at a tenth of the rate without weight decay, or not at all
uniform_lr = in_pretraining(values("optimizer", backbone_lr=None, backbone_weight_decay=None))
mixed_lr = in_pretraining(
    lambda run: with_values(run, "optimizer", backbone_lr=run.optimizer.lr / 10, backbone_weight_decay=0.0)
)
frozen_backbone = in_pretraining(
    values("optimizer", backbone_lr=None, backbone_weight_decay=None, freeze_backbone=True)
)
with_lwf = in_pretraining(values("objective", lwf=True))
# Figure 8: the cascade's steps start as copies of the pre-trained step (PT-Rep), or only what was pre-trained is loaded
replicated = in_finetuning(values("weights", replicate=True))
not_replicated = in_finetuning(values("weights", replicate=False))
