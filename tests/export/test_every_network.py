"""Every preset and every row of the paper's tables is exported along both pathways, in both formats (`-m full`).

A graph takes half a minute and more to be written, so the quick tests have one (`test_export.py`).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from miniature import BACKBONE, make_network
from spnet.config.presets import PRESETS, get_preset, name_of
from spnet.config.schema import BackboneConfig, InferenceConfig, ModelConfig, PathwayName
from spnet.export.export import export_network
from spnet.export.formats import ENDINGS, FormatName
from spnet.models.checkpoints import save_weights
from spnet.models.spnet import SPNet
from spnet.paper.figures import PAPER_TABLES
from spnet.paper.scales import paper_scale

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

PATHWAYS: tuple[PathwayName, ...] = ("object", "query")
WINDOW = (200, 300)  # pixels; no multiples of 32
RESNET = BackboneConfig("resnet10t", "none", 0.0, {"channels": [8, 12, 16, 24], "stem_width": 8})
SWIN = BackboneConfig(
    "swin_tiny_patch4_window7_224", "none", 0.0, {"embed_dim": 8, "depths": (1, 2, 1, 1), "num_heads": (1, 1, 2, 2)}
)
MINIATURES: dict[str, dict[str, Any]] = {
    "shared": {},
    "separate": {"heads": "separate", "reid_dim": 12},
    "cascade, shared": {"cascade_steps": 2},
    "cascade, separate": {"cascade_steps": 1, "heads": "separate", "reid_dim": 12},
    "positive": {"logit_sign": "positive"},
    "batch": {"logit_norm": "batch"},
    "resnet": {"backbone": RESNET},
    "swin": {"backbone": SWIN},
}


def architectures() -> dict[str, ModelConfig]:
    """Every different network of the presets and of the paper's tables, by where it comes from first."""
    models = {name: get_preset(name, "finetune").model for name in PRESETS}
    for table in PAPER_TABLES.values():
        for row in table.rows:
            recipe = row.recipe(paper_scale())
            for stage, run in (("pre-training", recipe.pretrain), ("fine-tuning", recipe.finetune)):
                if run is not None:
                    models[f"{table.key}, {row.name}, {stage}"] = run.model
    different: dict[str, tuple[str, ModelConfig]] = {}
    for name, model in models.items():
        backbone = replace(model.backbone, weights="none", drop_path=0.0, semantic_weight=None)
        plain = replace(model, backbone=backbone, inference=InferenceConfig(score_threshold=0.0))
        different.setdefault(repr(plain), (name, plain))
    return dict(different.values())


def export(network: SPNet, folder: Path, pathway: PathwayName, format_name: FormatName) -> None:
    """Export and compare (by `export_network`): it raises where the two differ."""
    save_weights(folder / "weights.safetensors", network, "object")
    output = folder / f"network{ENDINGS[format_name]}"
    info, differences = export_network(folder, output, format_name, pathway, WINDOW)
    assert info.window == WINDOW
    assert differences.detections > 0
    assert output.stat().st_size > 0


@pytest.mark.parametrize("format_name", ENDINGS)
@pytest.mark.parametrize("pathway", PATHWAYS)
@pytest.mark.parametrize("name", MINIATURES)
def test_every_kind_of_head_and_backbone(
    name: str, pathway: PathwayName, format_name: FormatName, tmp_path: Path
) -> None:
    export(make_network(**{"backbone": BACKBONE} | MINIATURES[name]), tmp_path, pathway, format_name)


@pytest.mark.parametrize("pathway", PATHWAYS)
@pytest.mark.parametrize("name", architectures())
def test_every_preset_and_row_at_full_size(name: str, pathway: PathwayName, tmp_path: Path) -> None:
    torch.manual_seed(0)
    export(SPNet(architectures()[name]), tmp_path, pathway, "onnx")


def test_names_of_presets() -> None:
    for name in PRESETS:
        assert name_of(get_preset(name, "finetune").model) == name
    assert name_of(ModelConfig(cascade_steps=1)) == "custom"
