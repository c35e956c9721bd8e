"""Values that make no sense are refused before anything is read or written."""

from pathlib import Path
from typing import Any

import pytest

from spnet.errors import UserError
from spnet.parsing import override, to_plain
from spnet.training.config import LIMITS, RunConfig, check_run_config
from spnet.training.fit import fit

VALUES: list[tuple[str, Any, str]] = [
    ("optimiser.epochs", 0, "must be 1 or more"),
    ("optimiser.epochs", -1, "must be 1 or more"),  # which Lightning would take for: without an end
    ("optimiser.learning_rate", -0.1, "must be 0 or more"),
    ("optimiser.trunk_weight_decay", -1.0, "must be 0 or more"),
    ("optimiser.checkpoint_steps", -1, "must be 0 or more"),
    ("data.batch_size", 0, "must be 1 or more"),
    ("data.workers", -2, "must be 0 or more"),
    ("objective.pairs", 0, "must be 1 or more"),
    ("objective.queue_size", 0, "must be 1 or more"),
    ("objective.momentum", 1.5, "must be 0 to 1"),
    ("objective.reid_iou", -0.5, "must be 0 to 1"),
    ("seed", -1, "must be 0 to 4294967295"),
    ("seed", 2**32, "must be 0 to 4294967295"),
]


@pytest.mark.parametrize(("key", "value", "message"), VALUES)
def test_values_out_of_range_are_named(key: str, value: Any, message: str, tmp_path: Path) -> None:
    config = override(RunConfig(), options=[f"--{key}={value}"])
    with pytest.raises(UserError, match=rf"^{key} is {value}, {message}$"):
        fit(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_no_number_is_no_number() -> None:
    config = override(RunConfig(), options=["--optimiser.clip_norm=.nan"])
    with pytest.raises(UserError, match=r"optimiser\.clip_norm is nan, must be"):
        check_run_config(config)


def test_defaults_are_in_range_and_all_limits_are_keys() -> None:
    check_run_config(RunConfig())
    plain = to_plain(RunConfig())
    for key in LIMITS:
        group, _, name = key.rpartition(".")
        assert name in (plain[group] if group else plain)
