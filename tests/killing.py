"""Runs that are killed, at any moment or while they write a file, and go on until they are finished."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_dataset import options
from spnet.runs.folder import checkpoint_files

COMMANDS = ("multiprocessing.forkserver", "preloaded.py")  # what processes of `start` and their workers are called

PRELOADED = ["spnet.training.fit", "spnet.cli.train"]  # by the server, before it is first asked for a process
EPOCHS = 3


@dataclass(frozen=True)
class Kill:
    """When a run is killed: after seconds, or when it renames or syncs a file for the n-th time."""

    seconds: float = 0.0
    write: int = 0


def command(data: Path, run: Path, num_workers: int) -> list[str]:
    """Query-centric pre-training has everything to remember; its state is saved after each step."""
    keys = options(optimizer__epochs=EPOCHS, data__num_workers=num_workers, checkpoint__every_n_steps=1)
    return ["train", "spnet-tiny", "--stage", "pretrain", "--data", str(data), "--output", str(run), *keys]


def train(arguments: list[str], kill: Kill, log: Path, method: str) -> None:
    """In a process of its own: run `spnet`; what it says goes to a file. Its workers are started by `method`."""
    from spnet.cli.main import main

    multiprocessing.set_start_method(method, force=True)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.dup2(2, 1)
    if kill.write:
        kill_at_write(kill.write)
    sys.exit(main(arguments))


def kill_at_write(number: int) -> None:
    """Kill this process when it syncs or renames a file for the n-th time."""
    left = number

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        return call

    os.fsync, Path.replace = counted(os.fsync), counted(Path.replace)  # type: ignore[method-assign]


def start(arguments: list[str], kill: Kill = Kill(), log: Path = Path(os.devnull)) -> int:
    """Run `spnet` until it ends or is killed; returns its exit status, negative for a signal."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=train, args=(arguments, kill, log, multiprocessing.get_start_method()))
    process.start()
    process.join(kill.seconds or None)
    if process.is_alive():
        process.kill()
    process.join()
    return process.exitcode or 0


def finish(data: Path, run: Path, num_workers: int, kills: list[Kill]) -> int:
    """Train with these kills, each in what the one before left, then to the end; returns how many came in time.

    Raises RuntimeError where `spnet` ends without being killed and without the weights; its output is beside the run.
    """
    killed, log = 0, run.with_name(f"{run.name}.log")
    for kill in [*kills, Kill()]:
        resumed = bool(checkpoint_files(run))
        if (run / "weights.safetensors").exists():
            break
        status = start(["train", "--resume", str(run)] if resumed else command(data, run, num_workers), kill, log)
        killed += status == -signal.SIGKILL
        if status not in (0, -signal.SIGKILL):
            raise RuntimeError(f"{kill} of {kills}: exit status {status}: {log.read_text()[-2000:]}")
    return killed


def orphans() -> list[int]:
    """Processes of `start` whose parent was killed."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            called = (stat.parent / "cmdline").read_text()
            if parent == 1 and any(command in called for command in COMMANDS):
                found.append(int(stat.parent.name))
        except OSError:  # it has ended
            continue
    return found


def whole(data: Path, run: Path, num_workers: int) -> tuple[bytes, float]:
    """The weights of an uninterrupted run, and its seconds."""
    start(["train", "--help"])  # what all share is loaded
    started = time.monotonic()
    if start(command(data, run, num_workers)):
        raise RuntimeError("the uninterrupted run failed")
    return (run / "weights.safetensors").read_bytes(), time.monotonic() - started


def random_kill(generator: random.Random, seconds: float) -> Kill:
    """Anywhere in a run of so many seconds, or in one of its writes, turn by turn."""
    if generator.random() < 0.5:
        return Kill(write=generator.randrange(3, 60))
    return Kill(seconds=generator.uniform(0.2, 0.95) * seconds)
