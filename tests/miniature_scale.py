"""The paper's experiments at a size for tests: a scale of miniature networks, and a data set with all its splits."""

import json
from pathlib import Path

from safetensors.torch import save_file

from small_dataset import TRUNK, make_dataset, options
from spnet.config import TrunkConfig
from spnet.experiments.base import Stage, named
from spnet.experiments.rows.exhibits import Scale
from spnet.experiments.rows.recipes import Recipe, architecture, changed, replicated, with_model
from spnet.model.trunk import Trunk
from spnet.parsing import override
from spnet.training.config import RunConfig

CLASSES = 5
LARGE_TRUNK = TrunkConfig("convnext_tiny", "none", 0.0, TRUNK | {"dims": [8, 12, 16, 32]})
RESNET = TrunkConfig("resnet10t", "none", 0.0, {"channels": [8, 12, 16, 24], "stem_width": 8})
# scenes with a second box, of twelve, and boxes too many
FEWER = {"p20": 0, "p40": 3, "p60": 6, "p80": 9, "p100": 12}
MORE = {"p120": 3, "p140": 6, "p160": 9, "p180": 12}


def miniature_scale(classifier: Path) -> Scale:
    """SPNet-S starts from the classifier; SPNet-L has another trunk, separate heads, a cascade and long embeddings."""
    small_trunk = TrunkConfig("convnext_tiny", str(classifier), 0.0, TRUNK | {"num_classes": CLASSES})
    small = Recipe(_miniature("pretrain", small_trunk), _miniature("finetune", small_trunk))
    large = changed(_on_trunk(small, LARGE_TRUNK), architecture("separate", 2, wide=True), replicated)
    return Scale("miniature", small, large, _on_trunk(large, RESNET))


def write_classifier(file: Path) -> Path:
    """A classifier that SPNet-S's trunk can start from: it has learnt nothing."""
    trunk = TrunkConfig("convnext_tiny", "none", 0.0, TRUNK | {"num_classes": CLASSES})
    save_file(Trunk(trunk, with_classifier=True).net.state_dict(), file)
    return file


def make_drawn_data(folder: Path) -> Path:
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


def _miniature(stage: Stage, trunk: TrunkConfig) -> RunConfig:
    return with_model(override(named("spnet-tiny", stage), options=options()), trunk=trunk)


def _on_trunk(recipe: Recipe, trunk: TrunkConfig) -> Recipe:
    return Recipe(
        recipe.pretrain and with_model(recipe.pretrain, trunk=trunk),
        recipe.finetune and with_model(recipe.finetune, trunk=trunk),
    )
