"""Checkpoints: whole, under a checksum, two of them, and what happens when the disk is full or a bit flips."""

import errno
import logging
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from small_dataset import options
from spnet.cli.main import main
from spnet.config.schema import CheckpointConfig
from spnet.errors import UserError
from spnet.runs.folder import LAST, PREVIOUS
from spnet.runs.record import read_record
from spnet.training.sealed_checkpoints import SaveState, SealedCheckpoints, choose_checkpoint

SEALED = SealedCheckpoints()


def state(step: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(step)
    return {"global_step": step, "state_dict": {"weight": torch.randn(20, 10, generator=generator)}, "rate": 0.5}


def save(run: Path, *steps: int) -> Path:
    for step in steps:
        SEALED.save_checkpoint(state(step), run / LAST)
    return run


def steps(run: Path) -> list[int]:
    return [SEALED.load_checkpoint(run / name)["global_step"] for name in (LAST, PREVIOUS) if (run / name).exists()]


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_what_is_saved_comes_back_and_torch_reads_it_too(tmp_path: Path) -> None:
    save(tmp_path, 1)
    for loaded in (SEALED.load_checkpoint(tmp_path / LAST), torch.load(tmp_path / LAST, weights_only=True)):
        assert loaded["global_step"] == 1
        assert torch.equal(loaded["state_dict"]["weight"], state(1)["state_dict"]["weight"])
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    assert steps(save(tmp_path, 1, 2)) == [2, 1]
    assert steps(save(tmp_path, 3)) == [3, 2]


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Of the content, of the archive's directory and of the checksum itself."""
    save(tmp_path, 1)
    whole = (tmp_path / LAST).read_bytes()
    tail = 8 * len(whole) - np.arange(1, 800)
    generator = np.random.default_rng(0)
    for bit in [*tail.tolist(), *generator.integers(0, 8 * len(whole), 400).tolist()]:
        flip(tmp_path / LAST, bit)
        with pytest.raises(UserError, match=r"last\.ckpt' is damaged: the run cannot be resumed"):
            SEALED.load_checkpoint(tmp_path / LAST)
        (tmp_path / LAST).write_bytes(whole)
    assert steps(tmp_path) == [1]


@pytest.mark.parametrize("kept", [0, 1, 71, 500, -1, -70, -71, -72])
def test_a_file_cut_off_or_continued_is_noticed(kept: int, tmp_path: Path) -> None:
    save(tmp_path, 1)
    whole = (tmp_path / LAST).read_bytes()
    for content in (whole[:kept], whole + bytes(10)):
        (tmp_path / LAST).write_bytes(content)
        with pytest.raises(UserError, match="is damaged"):
            SEALED.load_checkpoint(tmp_path / LAST)


def test_a_file_without_a_checksum_is_refused(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "plain.ckpt")
    with pytest.raises(UserError, match="is damaged"):
        SEALED.load_checkpoint(tmp_path / "plain.ckpt")


def test_the_newest_sound_one_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, 1, 2)
    with caplog.at_level(logging.WARNING):
        assert choose_checkpoint(tmp_path) == tmp_path / LAST
        assert not caplog.messages
        flip(tmp_path / LAST, 4000)
        assert choose_checkpoint(tmp_path) == tmp_path / LAST
    assert caplog.messages == [f"{tmp_path / LAST} is damaged: going on from the checkpoint before it"]
    assert steps(tmp_path) == [1]
    assert steps(save(tmp_path, 3)) == [3, 1]  # the damaged one did not take the place of the sound one
    (tmp_path / LAST).unlink()
    with caplog.at_level(logging.WARNING):
        choose_checkpoint(tmp_path)
    assert caplog.messages[-1] == f"{tmp_path / LAST} is missing: going on from the checkpoint before it"
    flip(tmp_path / LAST, 9)
    with pytest.raises(UserError, match=r"last\.ckpt' is damaged: the run cannot be resumed"):
        choose_checkpoint(tmp_path)


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, after: int, number: int = errno.ENOSPC) -> None:
    """Writes of a checkpoint fail from some byte on, as the system lets them fail."""

    class Full:
        def __init__(self, stream: BinaryIO) -> None:
            self.stream, self.left = stream, after

        def write(self, data: bytes) -> int:
            if len(data) > self.left:
                raise OSError(number, os.strerror(number))
            self.left -= len(data)
            return self.stream.write(data)

    original: Any = torch.save
    monkeypatch.setattr(torch, "save", lambda content, stream: original(content, Full(stream)))


@pytest.mark.parametrize("after", [0, 100, 1500])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_leaves_what_there_was(
    after: int, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1, 2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.ckpt")}
    fill_the_disk(monkeypatch, after, number)
    with pytest.raises(UserError, match=rf"last\.ckpt: cannot be written: {os.strerror(number)}"):
        save(tmp_path, 3)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_failing_sync_leaves_what_there_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1, 2)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(UserError, match=r"last\.ckpt: cannot be written: Input/output"):
            save(tmp_path, 3)
    assert steps(tmp_path) == [2, 1]


def test_file_and_folder_are_synced_before_and_after_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    sync, rename = os.fsync, Path.replace

    def record_sync(descriptor: int) -> None:
        events.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    def record_rename(self: Path, target: Path) -> Path:
        events.append(Path(target).name)
        return rename(self, target)

    (tmp_path / "checkpoints").mkdir()
    save(tmp_path, 1)
    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_rename)
    save(tmp_path, 2)
    assert events == ["file", "previous.ckpt", "last.ckpt", "folder"]


def command(data: Path, run: Path, **keys: Any) -> list[str]:
    keys = {"optimizer__epochs": 3, "checkpoint__every_n_steps": 1} | keys
    return ["train", "spnet-tiny", "--data", str(data), "--output", str(run), *options(**keys)]


def test_a_run_whose_disk_is_full_can_go_on(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, original = tmp_path / "run", SealedCheckpoints.save_checkpoint

    def save_checkpoint(self: SealedCheckpoints, checkpoint: dict[str, Any], path: Path, **further: Any) -> None:
        with monkeypatch.context() as patch:
            if checkpoint["global_step"] == 5:
                fill_the_disk(patch, 3000)
            original(self, checkpoint, path, **further)

    with monkeypatch.context() as patch:
        patch.setattr(SealedCheckpoints, "save_checkpoint", save_checkpoint)
        assert main(command(small_data, run)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"spnet train: error: {run / LAST}: cannot be written: No space left on device"
    assert steps(run) == [4, 3]
    record = read_record(run)
    assert record is not None
    assert (record.state, record.reason) == ("failed", error.removeprefix("spnet train: error: "))
    assert not list(run.rglob("*.partial"))
    assert main(["train", "--resume", str(run)]) == 0
    assert main(command(small_data, tmp_path / "whole")) == 0
    weights = [(folder / "weights.safetensors").read_bytes() for folder in (run, tmp_path / "whole")]
    assert weights[0] == weights[1]


def test_curves_on_a_full_disk_end_in_one_line(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def append(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("spnet.training.curves.MetricTable.append", append)
        assert main(command(small_data, tmp_path / "run", optimizer__epochs=5)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"spnet train: error: {tmp_path / 'run'}: cannot be written: No space left on device"
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0


def test_a_resumed_run_says_that_it_takes_the_older_checkpoint(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(command(small_data, tmp_path / "whole")) == 0
    with monkeypatch.context() as patch:
        patch.setattr("spnet.training.fit._save_network", lambda *arguments: os.kill(os.getpid(), 2))
        assert main(command(small_data, run)) == 130
    flip(run / LAST, 12345)
    (run / "checkpoints" / ".last.ckpt.1.partial").write_text("of a killed process")
    capsys.readouterr()
    assert main(["train", "--resume", str(run)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "checkpoint" in line] == [
        f"{run / LAST} is damaged: going on from the checkpoint before it"
    ]
    assert (run / "weights.safetensors").read_bytes() == (tmp_path / "whole" / "weights.safetensors").read_bytes()
    assert not list(run.rglob("*.partial"))


class Clock:
    """Seconds that pass when a test says so, and a trainer that counts saves."""

    is_last_batch = False
    global_step = 0

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.saved = 100.0, 0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def save_checkpoint(self, file: Path) -> None:
        self.saved += 1


@pytest.mark.parametrize(
    ("minutes", "every", "expected"), [(10.0, 0, 2), (0.0, 0, 0), (0.0, 4, 7), (10.0, 4, 7), (25.0, 0, 1)]
)
def test_when_the_state_is_saved(
    minutes: float, every: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """28 steps of a minute each."""
    clock: Any = Clock(monkeypatch)
    saving = SaveState(tmp_path / LAST, replace(CheckpointConfig(), every_n_minutes=minutes, every_n_steps=every))
    module: Any = None
    saving.on_train_start(clock, module)
    for clock.global_step in range(1, 29):
        clock.now += 60
        saving.on_train_batch_end(clock, module)
    assert clock.saved == expected
    saving.on_train_epoch_end(clock, module)
    assert clock.saved == expected + 1
