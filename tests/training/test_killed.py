"""A run killed by SIGKILL, at any moment or in the middle of a save, ends with the weights it would have had."""

import signal
import time
from pathlib import Path

import pytest

from killing import Kill, command, finish, orphans, start, whole
from spnet.runs.index import RunState, read_run


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_killed_run_is_the_uninterrupted_one(num_workers: int, small_data: Path, tmp_path: Path) -> None:
    expected, seconds = whole(small_data, tmp_path / "whole", num_workers)
    kills = [Kill(write=19), Kill(seconds=0.5 * seconds), Kill(write=12)]
    assert finish(small_data, tmp_path / "run", num_workers, kills) >= 2
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == expected


def test_a_run_killed_before_its_first_checkpoint_starts_again(small_data: Path, tmp_path: Path) -> None:
    """Whichever write of its first files the kill met."""
    arguments = command(small_data, tmp_path / "run", 0)
    assert {start(arguments, Kill(write=number)) for number in range(1, 7)} == {-signal.SIGKILL}
    assert read_run(tmp_path / "run").state is RunState.STARTED


def test_workers_end_with_a_process_that_is_killed(small_data: Path, tmp_path: Path) -> None:
    before = set(orphans())
    finish(small_data, tmp_path / "run", 2, [Kill(write=19)])
    left, deadline = set(orphans()) - before, time.monotonic() + 60
    while left & set(orphans()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left & set(orphans())
