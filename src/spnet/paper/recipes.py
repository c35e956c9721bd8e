"""A recipe is one network's way: a pre-training or none, then a fine-tuning. Each change is about one thing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from spnet.config.presets import as_released, with_pathway
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


def apply(recipe: Recipe, *changes: Patch) -> Recipe:
    """The recipe after all changes, in their order."""
    for change in changes:
        recipe = change(recipe)
    return recipe


def without_pretraining(recipe: Recipe) -> Recipe:
    """The baseline: fine-tuned from the ImageNet classifier."""
    return replace(recipe, pretrain=None)


def without_finetuning(recipe: Recipe) -> Recipe:
    """The pre-training alone."""
    return replace(recipe, finetune=None)


def on_backbone(backbone: BackboneConfig) -> Patch:
    """Another backbone, or one that starts from other weights."""
    return lambda recipe: _in_both(recipe, lambda run: with_model(run, backbone=backbone))


def backbone_from(weights: str, semantic_weight: float | None = None) -> Patch:
    """The backbone's initial weights: a name of the configuration, or one that stands for a file of the user's.

    SOLIDER's semantic weight is Swin's; the backbone that stands for it at small scale has none.
    """

    def start(run: RunConfig) -> RunConfig:
        backbone = run.model.backbone
        semantic = semantic_weight if backbone.name.startswith("swin") else None
        return with_model(run, backbone=replace(backbone, weights=weights, semantic_weight=semantic))

    return lambda recipe: _in_both(recipe, start)


random_backbone = backbone_from("none")  # Table 5, "Random Init."


def pretrain_pathway(pathway: PathwayName) -> Patch:
    """The pathway of pre-training: QC or OC."""
    return lambda recipe: _in_pretraining(recipe, lambda run: with_pathway(run, pathway))


def finetune_pathway(pathway: PathwayName) -> Patch:
    """The pathway of fine-tuning and of the test: OC-FT or QC-FT (Table 8)."""
    return lambda recipe: _in_finetuning(recipe, lambda run: with_pathway(run, pathway))


def pretrained_on(split: str) -> Patch:
    """Another part of the pre-training data: p20 to p180."""
    return lambda recipe: _in_pretraining(recipe, lambda run: replace(run, data=replace(run.data, train_split=split)))


def pretrained_for(share: float) -> Patch:
    """Another number of epochs of pre-training, as a share of the usual one."""

    def shorter(run: RunConfig) -> RunConfig:
        return with_optimizer(run, epochs=max(1, round(share * run.optimizer.epochs)))

    return lambda recipe: _in_pretraining(recipe, shorter)


def reid_only(recipe: Recipe) -> Recipe:
    """Pre-training of re-id alone, on annotated boxes (Table 6)."""
    return _in_pretraining(recipe, lambda run: with_objective(run, detection=False, reid_box_source="gt"))


def reid_of_annotated_boxes(recipe: Recipe) -> Recipe:
    """Pre-training whose re-id loss sees annotated boxes alone (Table 6)."""
    return _in_pretraining(recipe, lambda run: with_objective(run, reid_box_source="gt"))


def architecture(heads: Literal["shared", "separate"], cascade_steps: int, wide: bool = False) -> Patch:
    """The fine-tuned network of Table 7, top; `wide` re-id embeddings are 16 times as long (2,048 for 128)."""

    def change(recipe: Recipe) -> Recipe:
        return _in_finetuning(
            recipe,
            lambda run: with_model(
                run,
                heads=heads,
                cascade_steps=cascade_steps,
                reid_dim=run.model.location_dim * (16 if wide else 1),
            ),
        )

    return change


def replicated(recipe: Recipe) -> Recipe:
    """PT-Rep: the cascade's steps start as copies of the pre-trained step (Figure 8)."""
    return _in_finetuning(recipe, lambda run: replace(run, weights=replace(run.weights, replicate=True)))


def not_replicated(recipe: Recipe) -> Recipe:
    """PT: only what was pre-trained is loaded (Figure 8)."""
    return _in_finetuning(recipe, lambda run: replace(run, weights=replace(run.weights, replicate=False)))


def uniform_lr(recipe: Recipe) -> Recipe:
    """Pre-training changes the backbone as fast as the rest (Table 7, "Uniform LR")."""
    return _in_pretraining(recipe, lambda run: with_optimizer(run, backbone_lr=None, backbone_weight_decay=None))


def mixed_lr(recipe: Recipe) -> Recipe:
    """Pre-training changes the backbone at a tenth of the rate, without weight decay (Table 7, "Mixed LR")."""
    return _in_pretraining(
        recipe,
        lambda run: with_optimizer(run, backbone_lr=run.optimizer.lr / 10, backbone_weight_decay=0.0),
    )


def with_lwf(recipe: Recipe) -> Recipe:
    """Pre-training with the loss of learning without forgetting the classifier (Table 7, "LwF")."""
    return _in_pretraining(recipe, lambda run: with_objective(run, lwf=True))


def frozen_backbone(recipe: Recipe) -> Recipe:
    """Pre-training leaves the backbone as it is (Table 7, "Frozen-BB")."""
    return _in_pretraining(
        recipe, lambda run: with_optimizer(run, backbone_lr=None, backbone_weight_decay=None, freeze_backbone=True)
    )


def logits(kind: Literal["fixed", "batch"], sign: Literal["negative", "positive"]) -> Patch:
    """How the class logit comes from the offset's norm (Table 9)."""
    return lambda recipe: _in_both(recipe, lambda run: with_model(run, logit_norm=kind, logit_sign=sign))


def released(recipe: Recipe) -> Recipe:
    """The settings of the authors' code in both stages (docs/method.md, "As released")."""
    return _in_both(recipe, as_released)


def with_model(run: RunConfig, **fields: Any) -> RunConfig:
    """A run with fields of its network replaced."""
    return replace(run, model=replace(run.model, **fields))


def with_objective(run: RunConfig, **fields: Any) -> RunConfig:
    """A run with fields of its objective replaced."""
    return replace(run, objective=replace(run.objective, **fields))


def with_optimizer(run: RunConfig, **fields: Any) -> RunConfig:
    """A run with fields of its optimizer replaced."""
    return replace(run, optimizer=replace(run.optimizer, **fields))


def _in_pretraining(recipe: Recipe, change: Callable[[RunConfig], RunConfig]) -> Recipe:
    return replace(recipe, pretrain=recipe.pretrain and change(recipe.pretrain))


def _in_finetuning(recipe: Recipe, change: Callable[[RunConfig], RunConfig]) -> Recipe:
    return replace(recipe, finetune=recipe.finetune and change(recipe.finetune))


def _in_both(recipe: Recipe, change: Callable[[RunConfig], RunConfig]) -> Recipe:
    return _in_finetuning(_in_pretraining(recipe, change), change)
