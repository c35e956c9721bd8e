"""How large a table is run: as in the paper, or small enough for one CPU on synthetic scenes, without any download."""

from collections.abc import Mapping
from pathlib import Path

from spnet.config.presets import get_preset, with_values
from spnet.config.schema import BackboneConfig, Stage
from spnet.paper.paper_table import Scale
from spnet.paper.recipes import Recipe, apply, architecture, on_backbone, replicated

SMALL_BACKBONE = get_preset("spnet-tiny", "pretrain").model.backbone
SMALL_EPOCHS: Mapping[Stage, int] = {"pretrain": 8, "finetune": 20}


def paper_scale() -> Scale:
    """The paper's configurations; the ResNet-50 is SPNet-L's other backbone, and Table 3 has a Swin-B."""
    small, large = _recipe("spnet-s"), _recipe("spnet-l")
    resnet = BackboneConfig("resnet50", drop_path=0.0)
    swin = BackboneConfig("swin_base_patch4_window7_224", drop_path=0.1)  # as in the authors' configurations
    return Scale("paper", small, large, apply(large, on_backbone(resnet)), apply(small, on_backbone(swin)))


def small_scale(classifier: Path, epochs: Mapping[Stage, int] = SMALL_EPOCHS, name: str = "small") -> Scale:
    """SPNet-tiny with fewer epochs; every backbone starts from `classifier` (`train_classifier` of `SMALL_BACKBONE`).

    SPNet-L differs from SPNet-S in its architecture alone: backbone and crops are the same. The
    same backbone stands for ResNet-50 and Swin-B.
    """
    from spnet.training.classifier import classifying  # torch takes seconds to load; `paper_scale` needs none

    runs = {
        stage: with_values(get_preset("spnet-tiny", stage), "optimizer", epochs=count)
        for stage, count in epochs.items()
    }
    backbone = classifying(SMALL_BACKBONE, classifier)
    small = apply(Recipe(runs["pretrain"], runs["finetune"]), on_backbone(backbone))
    large = apply(small, architecture("separate", 2, wide=True), replicated)
    return Scale(name, small, large, large, small)


def _recipe(name: str) -> Recipe:
    return Recipe(get_preset(name, "pretrain"), get_preset(name, "finetune"))
