"""Runs commands one after the other or several at once, each a process with its share of the cores and a log file.

On a CPU two trainings with one thread each get more done than two in turn with two threads each.
"""

import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.status import Status

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """A command to be run.

    Args:
        name: what it is called in messages; also the name of its log file.
        command: the program and its arguments.
        after: names of the jobs that must have succeeded before.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()


def spnet_command(*arguments: object) -> tuple[str, ...]:
    """The `spnet` of this Python with these arguments."""
    return (sys.executable, "-m", "spnet.cli.main", *map(str, arguments))


def run_jobs(jobs: Iterable[Job], at_once: int, logs: Path) -> dict[str, str]:
    """Run all jobs whose predecessors succeed; returns the problem of each other job by name.

    Args:
        jobs: each after its predecessors.
        at_once: processes side by side; if several, they share the cores.
        logs: folder of the log files, `NAME.log` each; it is made.

    Raises:
        ValueError: a job that does not come after its predecessors in the list.
        KeyboardInterrupt: Ctrl-C or SIGTERM, once all processes have stopped.
    """
    waiting, running, ended = list(jobs), dict[str, _Process](), dict[str, str]()
    for number, job in enumerate(waiting):
        if missing := set(job.after) - {other.name for other in waiting[:number]}:
            raise ValueError(f"job {job.name!r} comes after {missing}, which must stand before it in the list")
    passed_on = 0  # signals, each of which reaches a process once
    with _stopping(running) as stopped, Status("", console=Console(stderr=True)) as status:
        while running or (waiting and not stopped):
            for job in [job for job in waiting if not stopped and ended.keys() >= set(job.after)]:
                if failed := [name for name in job.after if ended[name]]:
                    ended[job.name] = f"{failed[0]} was not done"
                elif len(running) < at_once:
                    running[job.name] = _Process(job, at_once, logs)
                else:
                    continue
                waiting.remove(job)
            if len(stopped) > passed_on:
                passed_on = len(stopped)
                _terminate(running)
            status.update("\n".join(f"{name}: {process.last_line()}" for name, process in running.items()))
            time.sleep(POLL_SECONDS if running else 0)
            for name in [name for name, process in running.items() if process.popen.poll() is not None]:
                ended[name] = running.pop(name).problem()
    if stopped:
        raise KeyboardInterrupt
    return {name: problem for name, problem in ended.items() if problem}


class _Process:
    """A job at work, in a session of its own so that Ctrl-C reaches it once, from its parent."""

    def __init__(self, job: Job, at_once: int, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._name, self._log, self._started = job.name, logs / f"{job.name}.log", time.monotonic()
        threads = str(max(1, (os.cpu_count() or 1) // at_once))
        environment = os.environ | (dict.fromkeys(THREADS, threads) if at_once > 1 else {})
        logger.info(f"{job.name}: started; log: {self._log}")
        with self._log.open("a") as log:
            print(f"$ {shlex.join(job.command)}", file=log, flush=True)
            self.popen = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def last_line(self) -> str:
        """What it wrote last."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - 2000))
            return next((line for line in reversed(log.read().decode(errors="replace").splitlines()) if line), "")

    def problem(self) -> str:
        """Why it failed, in the words of its last line if that is an error message of `spnet`; "" if it did not."""
        status, seconds = self.popen.returncode, time.monotonic() - self._started
        if status == 0:
            logger.info(f"{self._name}: done in {seconds:.0f} s")
            return ""
        message = self.last_line().partition(": error: ")[2] if status == 2 else ""
        problem = message or f"it ended with status {status}; see {self._log}"
        logger.info(f"{self._name}: failed: {problem}")
        return problem


def _terminate(running: dict[str, _Process]) -> None:
    for process in running.values():
        process.popen.terminate()


@contextmanager
def _stopping(running: dict[str, _Process]) -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of raising, so that no started process is lost; stop all at the end."""
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        _terminate(running)
        for process in running.values():
            process.popen.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
