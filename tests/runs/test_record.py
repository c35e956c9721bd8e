"""A run's record: written whole, read with care, and true of how the run ended and how long it took in all."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from small_dataset import make_dataset, options
from spnet.cli.main import main
from spnet.errors import UserError
from spnet.runs.record import (
    RECORD_NAME,
    RunRecord,
    read_record,
    write_record,
)
from spnet.training.module import TrainingModule


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
    assert record.fingerprint == "first"
    assert [file.name for file in tmp_path.iterdir()] == [RECORD_NAME]


@pytest.mark.parametrize("content", ["", "{", "null", "[1]", "{}", '{"depends": "x", "colour": "red"}', b"\xff\xfe"])
def test_damaged_records_are_named(content: str | bytes, tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as raised:
        read_record(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / RECORD_NAME}: no record of a run (")
    assert "\n" not in str(raised.value)


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
    """An image is lost in the second epoch."""
    data = make_dataset(tmp_path)
    run = tmp_path / "run"
    command = ["train", "spnet-tiny", "--data", str(data), "--output", str(run), *options(optimizer__epochs=2)]
    images = tmp_path / "images"

    original = TrainingModule.on_train_epoch_end

    def end_and_lose(self: TrainingModule) -> None:
        original(self)
        (images / "train7.png").unlink(missing_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        shutil.copy(images / "train7.png", tmp_path)
        patch.setattr(TrainingModule, "on_train_epoch_end", end_and_lose)
        assert main(command) == 2
    record = read_record(run)
    assert record is not None
    assert record.state == "failed"
    assert "train7.png" in record.reason
    assert record.reason in capsys.readouterr().err
    shutil.copy(tmp_path / "train7.png", images)
    assert main(["train", "--resume", str(run)]) == 0
    record = read_record(run)
    assert record is not None
    assert (record.state, record.reason, record.steps) == ("finished", "", 6)
