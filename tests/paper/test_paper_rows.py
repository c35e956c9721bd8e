"""Every row at the paper's scale: pinned field by field, and held against what the supplementary says of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from golden import assert_golden
from spnet.config.schema import RunConfig
from spnet.paper.datasets import COCOPERSONS, CUHK_SYSU, PRW
from spnet.paper.figures import PAPER_TABLES
from spnet.paper.paper_table import Row
from spnet.paper.recipes import Recipe
from spnet.paper.scales import paper_scale

GOLDEN = Path(__file__).parent / "resolved_rows.json"
SCALE = paper_scale()
PRETRAIN, FINETUNE = SCALE.spnet_s.pretrain, SCALE.spnet_s.finetune

Fields = dict[str, Any]


def flat(content: Mapping[str, Any], prefix: str = "") -> Fields:
    """Values by dotted key."""
    found: Fields = {}
    for name, value in content.items():
        nested = isinstance(value, dict) and value
        found |= flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return found


def fields_of(run: RunConfig | None) -> Fields:
    assert run is not None
    return flat(asdict(run))


def difference(run: RunConfig | None, base: RunConfig | None) -> Fields | None:
    """Fields in which a run differs from a base; None for no run."""
    if run is None:
        return None
    known = fields_of(base)
    return {name: value for name, value in fields_of(run).items() if known[name] != value}


def row_of(key: str, name: str) -> Row:
    (row,) = [row for row in PAPER_TABLES[key].rows if row.name == name]
    return row


def recipe_of(key: str, name: str) -> Recipe:
    return row_of(key, name).recipe(SCALE)


def changes(key: str, name: str) -> tuple[Fields | None, Fields | None]:
    """In what the pre-training and the fine-tuning of a row differ from SPNet-S's."""
    recipe = recipe_of(key, name)
    return difference(recipe.pretrain, PRETRAIN), difference(recipe.finetune, FINETUNE)


def resolved() -> dict[str, dict[str, Any]]:
    """The bases whole, the rest by how it differs from them."""
    assert PRETRAIN is not None
    assert FINETUNE is not None
    own = Path("DIR")
    sets = {
        "pre-training on COCOPersons": difference(COCOPERSONS.pretraining(PRETRAIN, own), PRETRAIN),
        **{
            f"fine-tuning on {data.title}": difference(data.finetuning(FINETUNE, own), FINETUNE)
            for data in (CUHK_SYSU, PRW)
        },
    }
    content: dict[str, dict[str, Any]] = {
        "SPNet-S, pre-training": fields_of(PRETRAIN),
        "SPNet-S, fine-tuning": fields_of(FINETUNE),
        "data sets": sets,
    }
    for key, table in PAPER_TABLES.items():
        rows = {row.name: changes(key, row.name) for row in table.rows}
        assert len(rows) == len(table.rows)
        content[key] = {name: {"pre-training": before, "fine-tuning": after} for name, (before, after) in rows.items()}
    return content


def as_text(content: Mapping[str, Mapping[str, Any]]) -> str:
    """JSON, a line each."""
    parts = []
    for title, entries in content.items():
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in entries.items())
        parts.append(f" {json.dumps(title)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def test_resolved_configurations_are_pinned() -> None:
    text = as_text(resolved())
    assert_golden(GOLDEN, text)
    assert json.loads(text)["table5"]["Random Init."]["pre-training"] is None


def test_the_base_is_that_of_the_supplementary() -> None:
    """Section 8 and Table 7, typed from there; docs/method.md for what they leave open."""
    both = {
        "model.backbone.name": "convnext_tiny",
        "model.backbone.weights": "imagenet",
        "model.heads": "shared",
        "model.cascade_steps": 0,
        "model.location_dim": 128,
        "model.reid_dim": 128,
        "model.logit_norm": "fixed",
        "model.logit_sign": "negative",
        "model.inference.min_size": 900,
        "model.inference.max_size": 1500,
        "objective.num_pairs": 32,
        "objective.reid_iou": 0.7,
        "objective.reid_box_source": "all",
        "objective.lwf": False,
        "data.batch_size": 8,
        "data.augmentation.crop_size": 512,
        "optimizer.epochs": 30,
        "optimizer.lr": 1e-4,
        "weights.replicate": False,
    }
    pretrain, finetune = fields_of(PRETRAIN), fields_of(FINETUNE)
    assert both.items() <= pretrain.items()
    assert both.items() <= finetune.items()
    assert {
        "objective.pathway": "query",
        "objective.reid_loss": "contrastive",
        "objective.queue_size": 65536,
        "objective.logit_scale": 10.0,
        "data.unique_id_per_box": True,
        "data.augmentation.name": "rrc_scale",
        "data.augmentation.scale_range": (0.5, 2.0),
        "data.augmentation.num_views": 2,
        "optimizer.weight_decay": 1e-3,
        "optimizer.backbone_lr": 1e-5,
        "optimizer.backbone_weight_decay": 0.0,
    }.items() <= pretrain.items()
    assert {
        "objective.pathway": "object",
        "objective.reid_loss": "oim",
        "objective.logit_scale": 30.0,
        "data.unique_id_per_box": False,
        "data.augmentation.name": "rrc2",
        "data.augmentation.num_views": 1,
        "optimizer.weight_decay": 5e-4,
        "optimizer.backbone_lr": None,
        "optimizer.backbone_weight_decay": None,
    }.items() <= finetune.items()


@pytest.mark.parametrize("pathway", ["query", "object"])
def test_either_way_of_pretraining_draws_as_many_anchors(pathway: str) -> None:
    """Section 8: 2,048 in each batch."""
    run = fields_of(recipe_of("table5", {"query": "Ours-QC", "object": "Ours-OC"}[pathway]).pretrain)
    assert run["objective.pathway"] == pathway
    drawn = {
        "query": run["objective.num_pairs"] * run["objective.samples_per_pair"],
        "object": run["data.batch_size"] * run["objective.samples_per_image"],
    }
    assert drawn[pathway] == 2048


OC: Fields = {"objective.pathway": "object"}
QC_TUNING: Fields = {"objective.pathway": "query", "data.augmentation.num_views": 2}
ANNOTATED = {"objective.reid_box_source": "gt"}
WIDE: Fields = {"model.heads": "separate", "model.reid_dim": 2048}
LARGE_BACKBONE: Fields = {"model.backbone.name": "convnext_base", "model.backbone.drop_path": 0.5}
LARGE: Fields = (
    LARGE_BACKBONE | WIDE | {"model.cascade_steps": 2, "data.augmentation.crop_size": 1024, "weights.replicate": True}
)
SWIN: Fields = {"model.backbone.name": "swin_base_patch4_window7_224"}  # its stochastic depth is SPNet-S's, 0.1
SOLIDER: Fields = SWIN | {"model.backbone.semantic_weight": 0.6}
RESNET: Fields = {"model.backbone.name": "resnet50", "model.backbone.drop_path": 0.0}
UNIFORM: Fields = {"optimizer.backbone_lr": None, "optimizer.backbone_weight_decay": None}
SEP: Fields = {"model.heads": "separate"}
C2: Fields = {"model.cascade_steps": 2}
REP: Fields = {"weights.replicate": True}
PATHWAYS: dict[str, Fields] = {"QC": {}, "OC": OC}
LAYERS: dict[str, Fields] = {
    "Uniform LR": UNIFORM,
    "Mixed LR": {},
    "Mixed LR + LwF": {"objective.lwf": True},
    "Frozen-BB": UNIFORM | {"optimizer.freeze_backbone": True},
}
ARCHITECTURES: dict[str, Fields] = {
    "c0-share-d128": {},
    "c0-sep-d128": SEP,
    "c2-share-d128": C2,
    "c2-sep-d128": SEP | C2,
    "c2-sep-d2048": WIDE | C2,
}
STARTS: list[tuple[str, Fields | None, Fields]] = [("no pre-training", None, {}), ("PT", {}, {}), ("PT-Rep", {}, REP)]
# table, row: what pre-training changes (None: there is none), what fine-tuning changes
EXPECTED: dict[str, dict[str, tuple[Fields | None, Fields | None]]] = {
    "main": {"SPNet-S": ({}, {}), "SPNet-L": (LARGE_BACKBONE, LARGE)},
    "table3": {
        "From scratch": (None, SWIN | {"model.backbone.weights": "none"}),
        "ImageNet-1k": (None, SWIN),
        "SOLIDER": (None, SOLIDER | {"model.backbone.weights": "solider"}),
        "SOLIDER, COCOPersons": (None, SOLIDER | {"model.backbone.weights": "solider-cocopersons"}),
        "Ours-QC": (SWIN, SWIN),
        "Ours-OC": (SWIN | OC, SWIN),
    },
    "table4": {
        "SPNet-S, QC": ({}, {}),
        "SPNet-S, OC": (OC, None),
        "SPNet-L, QC": (LARGE_BACKBONE, LARGE),
        "SPNet-L, OC": (LARGE_BACKBONE | OC, None),
    },
    "table5": {
        "Random Init.": (None, {"model.backbone.weights": "none"}),
        "Classifier": (None, {}),
        "Ours-OC": (OC, {}),
        "Ours-QC": ({}, {}),
    },
    "table6": {
        "Baseline": (None, {}),
        "Re-id Only": ({"objective.detection": False} | ANNOTATED, {}),
        "OC Re-id GT": (OC | ANNOTATED, {}),
        "QC Re-id GT": (ANNOTATED, {}),
        "OC Original": (OC, {}),
        "QC Original": ({}, {}),
    },
    "table7": {
        "SPNet-S: c0-share-d128": ({}, {}),
        "c0-sep-d128": ({}, SEP),
        "c2-share-d128": ({}, C2 | REP),
        "c2-sep-d128": ({}, SEP | C2 | REP),
        "SPNet-L: c2-sep-d2048": (LARGE_BACKBONE, LARGE),
        "Uniform LR": (UNIFORM, {}),
        "Mixed LR": ({}, {}),
        "Mixed LR + LwF": ({"objective.lwf": True}, {}),
        "Frozen-BB": (UNIFORM | {"optimizer.freeze_backbone": True}, {}),
        "Fine-Tune": (None, {}),
    },
    "table8": {"OC-FT": (None, {}), "OC-FT+PT": ({}, {}), "QC-FT": (None, QC_TUNING), "QC-FT+PT": ({}, QC_TUNING)},
    "table9": {
        "BatchNorm Logits (+)": (None, {"model.logit_norm": "batch", "model.logit_sign": "positive"}),
        "BatchNorm Logits (-)": (None, {"model.logit_norm": "batch"}),
        "FixedNorm Logits (+)": (None, {"model.logit_sign": "positive"}),
        "FixedNorm Logits (-)": (None, {}),
    },
    "speed": {
        "SPNet-S": ({}, {}),
        "SPNet-L": (LARGE_BACKBONE, LARGE),
        "SPNet-L, ResNet-50": (None, LARGE | RESNET),
    },
    "figure7": {
        "Baseline": (None, {}),
        **{
            f"{name}, {path}": (by_name | by_path, {})
            for name, by_name in LAYERS.items()
            for path, by_path in PATHWAYS.items()
        },
    },
    "figure8": {
        f"{name}, {start}": (before, by_name | by_start)
        for name, by_name in ARCHITECTURES.items()
        for start, before, by_start in STARTS
        if start != ("PT" if name in ("c2-share-d128", "c2-sep-d128") else "PT-Rep") or name == "c2-sep-d2048"
    },
    "fractions": {
        "Baseline": (None, {}),
        **{
            f"p{percent}, {path}": ({"data.train_split": f"p{percent}", "optimizer.epochs": 20} | by_path, {})
            for percent in (20, 60, 100, 140, 180)
            for path, by_path in PATHWAYS.items()
        },
    },
}


@pytest.mark.parametrize("key", EXPECTED)
def test_rows_change_what_they_are_about_and_nothing_else(key: str) -> None:
    assert PAPER_TABLES.keys() == EXPECTED.keys()
    assert {row.name: changes(key, row.name) for row in PAPER_TABLES[key].rows} == EXPECTED[key]


# Table 7, bottom, as printed: backbone's learning rate and weight decay, the rest's, LwF
OPTIMIZATION = {
    "Uniform LR": (1e-4, 1e-3, 1e-4, 1e-3, False),
    "Mixed LR": (1e-5, 0, 1e-4, 1e-3, False),
    "Mixed LR + LwF": (1e-5, 0, 1e-4, 1e-3, True),
    "Frozen-BB": ("Frozen", "Frozen", 1e-4, 1e-3, False),
    "Fine-Tune": (1e-4, 5e-4, 1e-4, 5e-4, False),
}


@pytest.mark.parametrize("name", OPTIMIZATION)
def test_layers_are_optimized_as_table_7_prints(name: str) -> None:
    recipe = recipe_of("table7", name)
    run = recipe.finetune if name == "Fine-Tune" else recipe.pretrain
    assert run is not None
    how = run.optimizer
    rate = how.lr if how.backbone_lr is None else how.backbone_lr
    decay = how.weight_decay if how.backbone_weight_decay is None else how.backbone_weight_decay
    backbone = ("Frozen", "Frozen") if how.freeze_backbone else (pytest.approx(rate), decay)
    assert (*backbone, how.lr, how.weight_decay, run.objective.lwf) == OPTIMIZATION[name]
