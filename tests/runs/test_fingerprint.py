"""What a run depends on: every key that shapes its weights, its annotations and where it starts, wherever they lie."""

import json
import os
import shutil
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from small_dataset import options
from spnet.config.io import override
from spnet.config.presets import get_preset
from spnet.config.schema import BackboneConfig, RunConfig
from spnet.errors import UserError
from spnet.runs.folder import read_run_config
from spnet.runs.record import (
    RunRecord,
    annotations_digest,
    file_digest,
    fingerprint,
    read_record,
    source_fingerprint,
    write_record,
)
from spnet.training.fit import fit

# another value for every key of a configuration
OTHERS: dict[str, Any] = {
    "model.backbone.name": "resnet10t",
    "model.backbone.weights": "timm",
    "model.backbone.drop_path": 0.25,
    "model.backbone.semantic_weight": 0.6,
    "model.box_init": "torch",
    "objective.pair_anchors": "lowest_index",
    "objective.lwf_loss": "binary_cross_entropy",
    "objective.teacher_drop_path": True,
    "objective.ema_update": "before_step",
    "objective.frozen_mode": "train",
    "data.augmentation.antialias": False,
    "data.drop_last": False,
    "model.backbone.model_kwargs": {"depths": (1, 1, 2, 1)},
    "model.heads": "separate",
    "model.cascade_steps": 1,
    "model.location_dim": 24,
    "model.reid_dim": 24,
    "model.logit_norm": "batch",
    "model.logit_sign": "positive",
    "model.anchor_size": 24,
    "objective.pathway": "object",
    "trainer.devices": 2,
    "trainer.nodes": 2,
    "objective.detection": False,
    "objective.samples_per_image": 99,
    "objective.num_pairs": 9,
    "objective.samples_per_pair": 9,
    "objective.reid_loss": "oim",
    "objective.reid_box_source": "annotated",
    "objective.reid_iou": 0.25,
    "objective.reid_samples_per_pair": 9,
    "objective.logit_scale": 99.0,
    "objective.queue_size": 99,
    "objective.oim_momentum": 0.25,
    "objective.ema_decay": 0.25,
    "objective.lwf": True,
    "data.unique_id_per_box": False,
    "data.augmentation.name": "rrc2",
    "data.augmentation.crop_size": 96,
    "data.augmentation.scale_range": (0.25, 3.0),
    "data.augmentation.scene_crop_prob": 0.25,
    "data.augmentation.min_size": 48,
    "data.augmentation.max_size": 2000,
    "data.augmentation.num_views": 4,
    "data.batch_size": 8,
    "optimizer.epochs": 9,
    "optimizer.lr": 0.25,
    "optimizer.weight_decay": 0.25,
    "optimizer.backbone_lr": 0.25,
    "optimizer.backbone_weight_decay": 0.25,
    "optimizer.freeze_backbone": True,
    "optimizer.warmup_steps": 9,
    "optimizer.grad_clip_norm": 9.0,
    "optimizer.precision": "bf16-mixed",
    "weights.replicate": True,
    "weights.partial": True,
    "validation.patience": 9,
    "seed": 9,
}
# where things lie, and how they are read and saved
PLACES: dict[str, Any] = {
    "model.inference.antialias": False,
    "model.inference.precision": "float16",
    "model.inference.object_pre_nms_topk": 99,
    "model.inference.query_pre_nms_topk": 99,
    "model.inference.score_threshold": 0.25,
    "model.inference.nms_iou": 0.25,
    "model.inference.max_detections": 99,
    "model.inference.min_size": 48,
    "model.inference.max_size": 2000,
    "stage": "finetune",
    "data.root": "/elsewhere",
    "data.train_split": "p100",
    "data.num_workers": 9,
    "data.cache_mb": 9,
    "checkpoint.every_n_minutes": 9.0,
    "checkpoint.every_n_steps": 9,
    "weights.init_from": "/elsewhere/runs/pre",
    "validation.split": "test",
    "validation.protocol": "listed",
    "validation.every_n_epochs": 9,
    "validation.monitor": "mAP",
    "checkpoint.every_n_epochs": 9,
    "checkpoint.teacher": True,
    "logger": "none",
    "trainer.compile": True,
    "trainer.grad_checkpointing": True,
}


def keys_of(config: Any, prefix: str = "") -> set[str]:
    if not hasattr(config, "__dataclass_fields__"):
        return {prefix.rstrip(".")}
    names = list(config.__dataclass_fields__)
    return set().union(*(keys_of(getattr(config, name), f"{prefix}{name}.") for name in names))


def changed(config: Any, key: str, value: Any) -> Any:
    name, _, rest = key.partition(".")
    return replace(config, **{name: changed(getattr(config, name), rest, value) if rest else value})


@pytest.fixture
def config() -> RunConfig:
    return override(get_preset("spnet-tiny", "pretrain"), options=options())


@pytest.fixture
def annotations(small_data: Path) -> Path:
    return small_data / "annotations" / "train.json"


def test_every_key_is_looked_at(config: RunConfig) -> None:
    assert keys_of(config) == OTHERS.keys() | PLACES.keys()


@pytest.mark.parametrize("key", OTHERS)
def test_a_run_depends_on(key: str, config: RunConfig, annotations: Path) -> None:
    assert reduce(getattr, key.split("."), config) != OTHERS[key]
    other = changed(config, key, OTHERS[key])
    assert fingerprint(other, annotations, None) != fingerprint(config, annotations, None)


@pytest.mark.parametrize("key", PLACES)
def test_a_run_does_not_depend_on(key: str, config: RunConfig, annotations: Path) -> None:
    assert reduce(getattr, key.split("."), config) != PLACES[key]
    other = changed(config, key, PLACES[key])
    assert fingerprint(other, annotations, None) == fingerprint(config, annotations, None)


@pytest.mark.parametrize("key", ["split", "protocol", "every_n_epochs", "monitor"])
def test_a_run_that_may_stop_early_depends_on_its_validation(key: str, config: RunConfig, annotations: Path) -> None:
    stopping = changed(config, "validation.patience", 3)
    other = changed(stopping, f"validation.{key}", PLACES[f"validation.{key}"])
    assert fingerprint(other, annotations, None) != fingerprint(stopping, annotations, None)


def test_a_saved_configuration_depends_on_the_same(small_run: Path, annotations: Path) -> None:
    """Numbers and tuples come back from a file as they went."""
    record = read_record(small_run)
    assert record is not None
    assert fingerprint(read_run_config(small_run), annotations, None) == record.fingerprint


def test_a_run_depends_on_its_initial_weights(config: RunConfig, annotations: Path, tmp_path: Path) -> None:
    """A backbone's file counts by its content, not its place; so do the weights of a source."""
    assert fingerprint(config, annotations, "one") != fingerprint(config, annotations, "other")
    digests = []
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"other")):
        (tmp_path / name).write_bytes(content)
        backbone = BackboneConfig(weights=str(tmp_path / name))
        digests.append(fingerprint(changed(config, "model.backbone", backbone), annotations, None))
    assert digests[0] == digests[1] != digests[2]


def test_annotations_count_by_what_they_say_of_scenes_and_boxes(annotations: Path, tmp_path: Path) -> None:
    content = json.loads(annotations.read_text())
    moved = tmp_path / "moved.json"
    moved.write_text(json.dumps(content | {"info": {"image_root": "/elsewhere"}}, indent=2))
    assert annotations_digest(moved) == annotations_digest(annotations)
    for part, name, value in (("annotations", "bbox", [1, 2, 3, 4]), ("images", "file_name", "other.png")):
        other = tmp_path / f"{part}.json"
        records = [content[part][0] | {name: value}, *content[part][1:]]
        other.write_text(json.dumps(content | {part: records}))
        assert annotations_digest(other) != annotations_digest(annotations)


def test_a_file_that_changed_is_read_again(annotations: Path, tmp_path: Path) -> None:
    """Digests are remembered, by when the file was written."""
    file = tmp_path / "train.json"
    shutil.copy(annotations, file)
    before = annotations_digest(file), file_digest(file)
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"annotations": content["annotations"][1:]}))
    os.utime(file, ns=(1, 1))
    assert annotations_digest(file) != before[0]
    assert file_digest(file) != before[1]


@pytest.mark.parametrize(("content", "said"), [("{", "not JSON: line 1"), ("[]", "no annotations: it holds list")])
def test_damaged_annotations_are_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(UserError) as raised:
        annotations_digest(tmp_path / "train.json")
    assert str(raised.value).startswith(f"{tmp_path / 'train.json'}: {said}")


def test_a_source_is_what_it_depends_on_or_its_content(config: RunConfig, tmp_path: Path) -> None:
    assert source_fingerprint(config) is None
    for name in ("run", "weights only"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(b"weights")
    write_record(tmp_path / "run", RunRecord("what it depends on", "finished"))
    digests = {
        name: source_fingerprint(changed(config, "weights.init_from", str(tmp_path / name)))
        for name in ("run", "weights only", "run/weights.safetensors")
    }
    assert digests["run"] == "what it depends on"
    assert (
        digests["weights only"]
        == digests["run/weights.safetensors"]
        == file_digest(tmp_path / "run/weights.safetensors")
    )


def test_a_run_made_by_hand_has_its_record(small_data: Path, small_run: Path) -> None:
    record = read_record(small_run)
    assert record is not None
    config = read_run_config(small_run)
    assert record.fingerprint == fingerprint(config, small_data / "annotations" / "train.json", None)
    assert (record.state, record.reason, record.steps) == ("finished", "", 30 * 3)
    assert 0 < record.seconds < 600


def test_a_fine_tuning_depends_on_what_its_pretraining_does(
    config: RunConfig, small_data: Path, tmp_path: Path
) -> None:
    annotations = small_data / "annotations" / "train.json"
    before = changed(config, "data.root", str(small_data))
    fit(before, tmp_path / "pre")
    after = override(get_preset("spnet-tiny", "finetune"), options=options(data__root=small_data))
    after = changed(after, "weights.init_from", str(tmp_path / "pre"))
    fit(after, tmp_path / "fine")
    records = [read_record(tmp_path / name) for name in ("pre", "fine")]
    assert records[0]
    assert records[1]
    assert records[0].fingerprint == fingerprint(before, annotations, None)
    assert records[1].fingerprint == fingerprint(after, annotations, records[0].fingerprint)
