"""How large a table is run: as in the paper, or small enough for one CPU on drawn streets, with nothing downloaded."""

from dataclasses import replace
from pathlib import Path

from spnet.config import TrunkConfig
from spnet.experiments.base import Stage, named
from spnet.experiments.rows.classifier import classifying
from spnet.experiments.rows.exhibits import Scale
from spnet.experiments.rows.recipes import Recipe, architecture, changed, replicated, with_model, with_optimiser
from spnet.training.config import RunConfig

SMALL_TRUNK = named("spnet-tiny", "pretrain").model.trunk
SMALL_EPOCHS: dict[Stage, int] = {"pretrain": 8, "finetune": 20}


def paper_scale() -> Scale:
    """The paper's configurations; the ResNet-50 is SPNet-L's other trunk."""
    large = _recipe("spnet-l")
    resnet = TrunkConfig("resnet50", drop_path=0.0)
    return Scale("paper", _recipe("spnet-s"), large, _with_trunk(large, resnet))


def small_scale(classifier: Path) -> Scale:
    """SPNet-tiny with fewer epochs; every trunk starts from `classifier` (`train_classifier` of `SMALL_TRUNK`).

    SPNet-L differs from SPNet-S in its architecture alone: trunk and crops are the same.
    """
    small = _with_trunk(_recipe("spnet-tiny"), classifying(SMALL_TRUNK, classifier))
    small = Recipe(_shorter(small.pretrain, "pretrain"), _shorter(small.finetune, "finetune"))
    large = changed(small, architecture("separate", 2, wide=True), replicated)
    return Scale("small", small, large, large)


def _recipe(name: str) -> Recipe:
    return Recipe(named(name, "pretrain"), named(name, "finetune"))


def _with_trunk(recipe: Recipe, trunk: TrunkConfig) -> Recipe:
    return Recipe(
        recipe.pretrain and with_model(recipe.pretrain, trunk=trunk),
        recipe.finetune and with_model(recipe.finetune, trunk=trunk),
    )


def _shorter(run: RunConfig | None, stage: Stage) -> RunConfig | None:
    return run and replace(with_optimiser(run, epochs=SMALL_EPOCHS[stage]))
