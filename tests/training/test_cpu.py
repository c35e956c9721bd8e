"""Tiny numbers count as zero while a run trains, and not afterwards; no system is asked for what it does not know."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from small_dataset import make_dataset, options
from spnet.cli.main import main
from spnet.training.cpu import flush_denormals, keep_freed_memory
from spnet.training.module import TrainingModule


def halved() -> float:
    """Half of the smallest number that a processor handles at full speed."""
    smallest = torch.full((64,), torch.finfo(torch.float32).tiny)
    return (smallest / 2).sum().item()


def test_tiny_numbers_are_zero_meanwhile() -> None:
    assert halved() > 0
    with flush_denormals():
        assert halved() == 0
    assert halved() > 0


def test_they_count_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="lost"), flush_denormals():
        raise ValueError("lost")
    assert halved() > 0


def test_who_wanted_it_before_has_it_afterwards() -> None:
    torch.set_flush_denormal(True)
    try:
        with flush_denormals():
            pass
        assert halved() == 0
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize(
    ("system", "calls"), [("linux", [(-3, 32 * 2**20), (-1, 2**31 - 1)]), ("darwin", []), ("win32", [])]
)
def test_memory_is_kept_where_the_library_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, system: str, calls: list[tuple[int, int]]
) -> None:
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda option, value: asked.append((option, value)))
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep_freed_memory()
    assert asked == calls


def test_a_library_that_knows_no_such_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_freed_memory()


def test_a_run_trains_that_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step: Callable[..., Any] = TrainingModule.training_step
    seen = []

    def looked_at(module: TrainingModule, *arguments: Any) -> Any:
        seen.append(halved())
        return step(module, *arguments)

    monkeypatch.setattr(TrainingModule, "training_step", looked_at)
    data = make_dataset(tmp_path / "data")
    assert main(["train", "spnet-tiny", "--data", str(data), "--output", str(tmp_path / "run"), *options()]) == 0
    assert seen
    assert set(seen) == {0.0}
    assert halved() > 0
