"""How large a table is run: as in the paper, or small enough for one CPU on drawn streets, with nothing downloaded."""

from dataclasses import replace
from pathlib import Path

from spnet.config.presets import get_preset
from spnet.config.schema import BackboneConfig, RunConfig, Stage
from spnet.paper.rows.paper_table import Scale
from spnet.paper.rows.recipes import Recipe, apply, architecture, replicated, with_model, with_optimizer
from spnet.training.classifier import classifying

SMALL_BACKBONE = get_preset("spnet-tiny", "pretrain").model.backbone
SMALL_EPOCHS: dict[Stage, int] = {"pretrain": 8, "finetune": 20}


def paper_scale() -> Scale:
    """The paper's configurations; the ResNet-50 is SPNet-L's other backbone."""
    large = _recipe("spnet-l")
    resnet = BackboneConfig("resnet50", drop_path=0.0)
    return Scale("paper", _recipe("spnet-s"), large, _with_backbone(large, resnet))


def small_scale(classifier: Path) -> Scale:
    """SPNet-tiny with fewer epochs; every backbone starts from `classifier` (`train_classifier` of `SMALL_BACKBONE`).

    SPNet-L differs from SPNet-S in its architecture alone: backbone and crops are the same.
    """
    small = _with_backbone(_recipe("spnet-tiny"), classifying(SMALL_BACKBONE, classifier))
    small = Recipe(_shorter(small.pretrain, "pretrain"), _shorter(small.finetune, "finetune"))
    large = apply(small, architecture("separate", 2, wide=True), replicated)
    return Scale("small", small, large, large)


def _recipe(name: str) -> Recipe:
    return Recipe(get_preset(name, "pretrain"), get_preset(name, "finetune"))


def _with_backbone(recipe: Recipe, backbone: BackboneConfig) -> Recipe:
    return Recipe(
        recipe.pretrain and with_model(recipe.pretrain, backbone=backbone),
        recipe.finetune and with_model(recipe.finetune, backbone=backbone),
    )


def _shorter(run: RunConfig | None, stage: Stage) -> RunConfig | None:
    return run and replace(with_optimizer(run, epochs=SMALL_EPOCHS[stage]))
