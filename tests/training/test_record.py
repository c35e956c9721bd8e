"""A run's record: what it depends on and what it does not, how the run ended, and how long it took in all."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from small_dataset import make_dataset, options
from spnet.cli import main
from spnet.config import TrunkConfig
from spnet.errors import UserError
from spnet.experiments.base import named
from spnet.parsing import override
from spnet.training.config import RunConfig
from spnet.training.fit import fit, read_run_config
from spnet.training.module import TrainingModule
from spnet.training.record import (
    RECORD_NAME,
    RunRecord,
    annotations_digest,
    dependencies,
    file_digest,
    read_record,
    source_digest,
    write_record,
)

# another value for every key of a configuration
OTHERS: dict[str, Any] = {
    "model.trunk.name": "resnet10t",
    "model.trunk.weights": "timm",
    "model.trunk.drop_path": 0.25,
    "model.trunk.options": {"depths": (1, 1, 2, 1)},
    "model.heads": "separate",
    "model.cascade_steps": 1,
    "model.location_dims": 24,
    "model.reid_dims": 24,
    "model.logits": "batch",
    "model.logit_sign": "positive",
    "model.anchor_size": 24,
    "model.inference.window": (48, 64),
    "model.inference.object_anchors": 99,
    "model.inference.query_anchors": 99,
    "model.inference.score_threshold": 0.25,
    "model.inference.nms_iou": 0.25,
    "model.inference.max_detections": 99,
    "objective.path": "object",
    "objective.detection": False,
    "objective.scene_samples": 99,
    "objective.pairs": 9,
    "objective.pair_samples": 9,
    "objective.reid": "oim",
    "objective.reid_boxes": "annotated",
    "objective.reid_iou": 0.25,
    "objective.reid_pair_samples": 9,
    "objective.scalar": 99.0,
    "objective.queue_size": 99,
    "objective.momentum": 0.25,
    "objective.teacher_momentum": 0.25,
    "objective.forgetting": True,
    "data.train_split": "p20",
    "data.boxes_as_persons": False,
    "data.augmentation.name": "rrc2",
    "data.augmentation.crop_size": 96,
    "data.augmentation.scale_range": (0.25, 3.0),
    "data.augmentation.window": (48, 64),
    "data.augmentation.views": 4,
    "data.batch_size": 8,
    "optimiser.epochs": 9,
    "optimiser.learning_rate": 0.25,
    "optimiser.weight_decay": 0.25,
    "optimiser.trunk_learning_rate": 0.25,
    "optimiser.trunk_weight_decay": 0.25,
    "optimiser.freeze_trunk": True,
    "optimiser.warmup_steps": 9,
    "optimiser.clip_norm": 9.0,
    "optimiser.precision": "bf16-mixed",
    "weights.replicate": True,
    "weights.partial": True,
    "seed": 9,
}
# where things lie, and how they are read and saved
PLACES: dict[str, Any] = {
    "data.root": "/elsewhere",
    "data.workers": 9,
    "optimiser.checkpoint_steps": 9,
    "weights.source": "/elsewhere/runs/pre",
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
    return override(named("spnet-tiny", "pretrain"), options=options())


@pytest.fixture
def annotations(small_data: Path) -> Path:
    return small_data / "annotations" / "train.json"


def test_every_key_is_looked_at(config: RunConfig) -> None:
    assert keys_of(config) == OTHERS.keys() | PLACES.keys()


@pytest.mark.parametrize("key", OTHERS)
def test_a_run_depends_on(key: str, config: RunConfig, annotations: Path) -> None:
    assert reduce(getattr, key.split("."), config) != OTHERS[key]
    other = changed(config, key, OTHERS[key])
    assert dependencies(other, annotations, None) != dependencies(config, annotations, None)


@pytest.mark.parametrize("key", PLACES)
def test_a_run_does_not_depend_on(key: str, config: RunConfig, annotations: Path) -> None:
    assert reduce(getattr, key.split("."), config) != PLACES[key]
    other = changed(config, key, PLACES[key])
    assert dependencies(other, annotations, None) == dependencies(config, annotations, None)


def test_a_saved_configuration_depends_on_the_same(small_run: Path, annotations: Path) -> None:
    """Numbers and tuples come back from a file as they went."""
    record = read_record(small_run)
    assert record is not None
    assert dependencies(read_run_config(small_run), annotations, None) == record.depends


def test_a_run_depends_on_its_initial_weights(config: RunConfig, annotations: Path, tmp_path: Path) -> None:
    """A trunk's file counts by its content, not its place; so do the weights of a source."""
    assert dependencies(config, annotations, "one") != dependencies(config, annotations, "other")
    digests = []
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"other")):
        (tmp_path / name).write_bytes(content)
        trunk = TrunkConfig(weights=str(tmp_path / name))
        digests.append(dependencies(changed(config, "model.trunk", trunk), annotations, None))
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
    assert source_digest(config) is None
    for name in ("run", "weights only"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(b"weights")
    write_record(tmp_path / "run", RunRecord("what it depends on", "finished"))
    digests = {
        name: source_digest(changed(config, "weights.source", str(tmp_path / name)))
        for name in ("run", "weights only", "run/weights.safetensors")
    }
    assert digests["run"] == "what it depends on"
    assert (
        digests["weights only"]
        == digests["run/weights.safetensors"]
        == file_digest(tmp_path / "run/weights.safetensors")
    )


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    record = RunRecord("digest", "diverged", "training diverged: at step 7", 12.5, 7)
    write_record(tmp_path, record)
    read = read_record(tmp_path)
    assert read is not None
    assert replace(read, hardware="", date="", versions=None) == record
    assert read.hardware.startswith(("CPU, ", "NVIDIA"))
    assert read.versions is not None
    assert read.versions["torch"] == version("torch")
    assert len(read.date) == len("2026-11-22 12:00")
    assert [file.name for file in tmp_path.iterdir()] == [RECORD_NAME]


def test_a_record_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there stays if writing fails."""
    write_record(tmp_path, RunRecord("first"))

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError, match="cannot be written: No space left on device"):
        write_record(tmp_path, RunRecord("second"))
    record = read_record(tmp_path)
    assert record is not None
    assert record.depends == "first"
    assert [file.name for file in tmp_path.iterdir()] == [RECORD_NAME]


@pytest.mark.parametrize("content", ["", "{", "null", "[1]", "{}", '{"depends": "x", "colour": "red"}', b"\xff\xfe"])
def test_damaged_records_are_named(content: str | bytes, tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as raised:
        read_record(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / RECORD_NAME}: no record of a run (")
    assert "\n" not in str(raised.value)


def test_a_run_made_by_hand_has_its_record(small_data: Path, small_run: Path) -> None:
    record = read_record(small_run)
    assert record is not None
    config = read_run_config(small_run)
    assert record.depends == dependencies(config, small_data / "annotations" / "train.json", None)
    assert (record.state, record.reason, record.steps) == ("finished", "", 30 * 3)
    assert 0 < record.seconds < 600


def test_a_fine_tuning_depends_on_what_its_pretraining_does(
    config: RunConfig, small_data: Path, tmp_path: Path
) -> None:
    annotations = small_data / "annotations" / "train.json"
    before = changed(config, "data.root", str(small_data))
    fit(before, tmp_path / "pre")
    after = override(named("spnet-tiny", "finetune"), options=options(data__root=small_data))
    after = changed(after, "weights.source", str(tmp_path / "pre"))
    fit(after, tmp_path / "fine")
    records = [read_record(tmp_path / name) for name in ("pre", "fine")]
    assert records[0]
    assert records[1]
    assert records[0].depends == dependencies(before, annotations, None)
    assert records[1].depends == dependencies(after, annotations, records[0].depends)


def count_seconds(monkeypatch: pytest.MonkeyPatch, interrupt: Callable[[int], None]) -> None:
    """Every step seems to take a minute."""
    begun = time.monotonic
    steps = [0]
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, batch: Any, index: int) -> torch.Tensor:
        steps[0] += 1
        interrupt(self.global_step)
        return original(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    monkeypatch.setattr("lightning.pytorch.callbacks.timer.time.monotonic", lambda: begun() + 60 * steps[0])


def test_seconds_before_an_interruption_count_too(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps of a minute each, interrupted in the second."""
    run = tmp_path / "run"
    command = ["train", "spnet-tiny", "--data", str(small_data), "--output", str(run), *options()]

    def interrupt(step: int) -> None:
        if step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        count_seconds(patch, interrupt)
        assert main(command) == 130
    record = read_record(run)
    assert record is not None
    assert (record.state, record.steps) == ("started", 0)
    with monkeypatch.context() as patch:
        count_seconds(patch, lambda step: None)
        assert main(["train", "--resume", str(run)]) == 0
    record = read_record(run)
    assert record is not None
    assert (record.state, record.steps) == ("finished", 3)
    assert 180 <= record.seconds < 240


def test_a_run_that_failed_says_why_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A picture is lost in the second epoch."""
    data = make_dataset(tmp_path)
    run = tmp_path / "run"
    command = ["train", "spnet-tiny", "--data", str(data), "--output", str(run), *options(optimiser__epochs=2)]
    pictures = tmp_path / "pictures"

    def lose(self: Any) -> None:
        (pictures / "train7.png").unlink(missing_ok=True)

    original = TrainingModule.on_train_epoch_end
    with pytest.MonkeyPatch.context() as patch:
        shutil.copy(pictures / "train7.png", tmp_path)
        patch.setattr(TrainingModule, "on_train_epoch_end", lambda self: (original(self), lose(self)))
        assert main(command) == 2
    record = read_record(run)
    assert record is not None
    assert record.state == "failed"
    assert "train7.png" in record.reason
    assert record.reason in capsys.readouterr().err
    shutil.copy(tmp_path / "train7.png", pictures)
    assert main(["train", "--resume", str(run)]) == 0
    record = read_record(run)
    assert record is not None
    assert (record.state, record.reason, record.steps) == ("finished", "", 6)
