"""Values that make no sense are refused before anything is read or written."""

from dataclasses import replace
from pathlib import Path

import pytest

from spnet.config.io import check, override
from spnet.config.schema import Augmentation, InferenceConfig, RunConfig
from spnet.errors import UserError
from spnet.training.fit import fit

VALUES = [
    ("optimizer.epochs", "0", "should be greater than or equal to 1|should be greater than 0"),
    ("optimizer.epochs", "-1", "should be greater than 0"),  # which Lightning would take for: without an end
    ("optimizer.lr", "-0.1", "should be greater than or equal to 0"),
    ("optimizer.backbone_weight_decay", "-1.0", "should be greater than or equal to 0"),
    ("checkpoint.every_n_steps", "-1", "should be greater than or equal to 0"),
    ("optimizer.grad_clip_norm", "nan", "should be a finite number"),
    ("data.batch_size", "0", "should be greater than 0"),
    ("data.num_workers", "-2", "should be greater than or equal to 0"),
    ("objective.num_pairs", "0", "should be greater than 0"),
    ("objective.queue_size", "0", "should be greater than 0"),
    ("objective.oim_momentum", "1.5", "should be less than or equal to 1"),
    ("objective.reid_iou", "-0.5", "should be greater than or equal to 0"),
    ("model.inference.nms_iou", "2", "should be less than or equal to 1"),
    ("model.location_dim", "1", "should be greater than or equal to 2"),
    ("seed", "-1", "should be greater than or equal to 0"),
    ("seed", str(2**32), "should be less than or equal to 4294967295"),
]


@pytest.mark.parametrize(("key", "value", "message"), VALUES)
def test_values_out_of_range_are_named(key: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=rf"^configuration \(options\): {key} is '{value}': ({message})$"):
        override(RunConfig(), options=[f"--{key}={value}"])


def test_a_configuration_made_in_python_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    config = RunConfig()
    config = replace(config, optimizer=replace(config.optimizer, epochs=0))
    with pytest.raises(UserError, match=r"optimizer\.epochs is 0: should be greater than 0"):
        fit(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_ranges_must_ascend() -> None:
    with pytest.raises(UserError, match="scale_range are 2, 1"):
        Augmentation("rrc_scale", scale_range=(2, 1))
    for schema in (Augmentation, InferenceConfig):
        with pytest.raises(UserError, match="min_size, max_size are 900, 800"):
            schema(min_size=900, max_size=800)
    with pytest.raises(UserError, match=r"model\.inference is .*min_size, max_size are 900, 800"):
        override(RunConfig(), options=["--model.inference.max_size", "800"])


def test_defaults_are_in_range() -> None:
    check(RunConfig())
