"""The paper's experiments at a size for tests: a scale of miniature networks, and a data set with all its splits."""

import json
from pathlib import Path

from safetensors.torch import save_file

from small_dataset import BACKBONE, make_dataset, options
from spnet.config.io import override
from spnet.config.presets import get_preset, with_values
from spnet.config.schema import BackboneConfig, RunConfig, Stage
from spnet.models.backbone import Backbone
from spnet.paper.paper_table import Scale
from spnet.paper.recipes import Recipe, apply, architecture, on_backbone, replicated

CLASSES = 5
LARGE_BACKBONE = BackboneConfig("convnext_tiny", "none", 0.0, BACKBONE | {"dims": [8, 12, 16, 32]})
RESNET = BackboneConfig("resnet10t", "none", 0.0, {"channels": [8, 12, 16, 24], "stem_width": 8})
# scenes with a second box, of twelve, and boxes too many
FEWER = {"p20": 0, "p40": 3, "p60": 6, "p80": 9, "p100": 12}
MORE = {"p120": 3, "p140": 6, "p160": 9, "p180": 12}


def miniature_scale(classifier: Path) -> Scale:
    """SPNet-S starts from the classifier; SPNet-L has another backbone, separate heads, cascade, long embeddings."""
    small_backbone = BackboneConfig("convnext_tiny", str(classifier), 0.0, BACKBONE | {"num_classes": CLASSES})
    small = Recipe(_miniature("pretrain", small_backbone), _miniature("finetune", small_backbone))
    large = apply(small, on_backbone(LARGE_BACKBONE), architecture("separate", 2, wide=True), replicated)
    return Scale("miniature", small, large, on_backbone(RESNET)(large), small)


def write_classifier(file: Path) -> Path:
    """A classifier that SPNet-S's backbone can start from: it has learnt nothing."""
    backbone = BackboneConfig("convnext_tiny", "none", 0.0, BACKBONE | {"num_classes": CLASSES})
    save_file(Backbone(backbone, with_classifier=True).net.state_dict(), file)
    return file


def make_synthetic_data(folder: Path) -> Path:
    """A data set with the splits of `spnet prepare synthetic`: pretrain, p20 to p180, train and test."""
    data = make_dataset(folder)
    content = json.loads((data / "annotations" / "train.json").read_text())
    boxes = content["annotations"]
    firsts = [box for box in boxes if box["id"] % 2 == 0]
    seconds = [box for box in boxes if box["id"] % 2]
    wrong = [box | {"id": 900 + row, "person_id": 900 + row, "bbox": [30, 5, 9, 20]} for row, box in enumerate(firsts)]
    splits = {name: firsts + seconds[:count] for name, count in FEWER.items()}
    splits |= {name: boxes + wrong[:count] for name, count in MORE.items()}
    for name, chosen in {"pretrain": boxes, **splits}.items():
        file = data / "annotations" / f"{name}.json"
        file.write_text(json.dumps(content | {"annotations": chosen}))
    return data


def _miniature(stage: Stage, backbone: BackboneConfig) -> RunConfig:
    return with_values(override(get_preset("spnet-tiny", stage), options=options()), "model", backbone=backbone)
