"""Runs jobs one after the other, or several at once, each in a process of its own with its share of the cores.

On a CPU two trainings with one thread each get more done than two in turn with two threads each.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, TextIO

from spnet.errors import UserError

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Job:
    """Something to do.

    Args:
        name: what it is called where it says something.
        work: does it; called in another process if several are done at once. May raise UserError.
        after: names of the jobs that must have been done well before.
    """

    name: str
    work: Callable[[], object]
    after: tuple[str, ...] = ()


def run_jobs(jobs: list[Job], at_once: int = 1) -> dict[str, str]:
    """Do all jobs whose predecessors were done well; returns what was wrong with the others, by name.

    Raises:
        ValueError: a job that does not come after its predecessors in the list.
        KeyboardInterrupt: once all that had begun have stopped.
    """
    for number, job in enumerate(jobs):
        if missing := set(job.after) - {other.name for other in jobs[:number]}:
            raise ValueError(f"job {job.name!r} comes after {missing}, which must stand before it in the list")
    return _in_turn(jobs) if at_once == 1 else _Together(jobs, at_once).run()


def _in_turn(jobs: list[Job]) -> dict[str, str]:
    problems: dict[str, str] = {}
    for job in jobs:
        if _is_lost(job, problems):
            continue
        print(job.name, flush=True)
        try:
            job.work()
        except UserError as error:
            problems[job.name] = str(error)
    return problems


def _is_lost(job: Job, problems: dict[str, str]) -> bool:
    """Whether a predecessor failed; that is the job's own problem then."""
    failed = [name for name in job.after if name in problems]
    if failed:
        problems[job.name] = f"{failed[0]} was not done"
    return bool(failed)


class _Together:
    """Jobs in processes, so many at once."""

    def __init__(self, jobs: list[Job], at_once: int) -> None:
        self._at_once, self._waiting = at_once, list(jobs)
        self._running: dict[str, _Process] = {}
        self._done: set[str] = set()
        self._problems: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        """Do them; returns what went wrong, by name."""
        with _stopping(self._running):
            while self._waiting or self._running:
                self._begin()
                self._end()
        return self._problems

    def _begin(self) -> None:
        """Start what may start, in the order of the list."""
        for job in list(self._waiting):
            ready = set(job.after) <= self._done | self._problems.keys()
            if not ready or len(self._running) == self._at_once:
                continue
            self._waiting.remove(job)
            if not _is_lost(job, self._problems):
                with _interrupts_wait():
                    self._running[job.name] = _Process(job, self._at_once)

    def _end(self) -> None:
        """Wait until something has ended, and see how."""
        if not self._running:
            return
        wait([process.sentinel for process in self._running.values()])
        for name in [name for name, process in self._running.items() if process.ended]:
            if problem := self._running.pop(name).problem():
                self._problems[name] = problem
            else:
                self._done.add(name)


class _Process:
    """A job in a process of its own."""

    def __init__(self, job: Job, at_once: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._told, telling = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(job, telling))
        with _threads(max(1, (os.cpu_count() or 1) // at_once)):
            self._process.start()
        telling.close()

    @property
    def sentinel(self) -> int:
        return self._process.sentinel

    @property
    def ended(self) -> bool:
        return not self._process.is_alive()

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C would."""
        if self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, signal.SIGINT)

    def join(self) -> None:
        self._process.join()

    def problem(self) -> str:
        """What was wrong, if anything was."""
        self._process.join()
        if self._told.poll():
            try:
                return str(self._told.recv())
            except EOFError:
                pass
        return "" if self._process.exitcode == 0 else f"it ended with status {self._process.exitcode}"


def _work(job: Job, telling: Connection) -> None:
    """The process of one job; in a session of its own, so that Ctrl-C reaches it once, from its parent.

    Until here Ctrl-C had to wait: loading what the job needs takes seconds.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the parent runs in the background
    os.environ["TTY_COMPATIBLE"] = "0"  # bars of several processes would overwrite each other
    with redirect_stderr(_Prefixed(sys.stderr, job.name)), redirect_stdout(_Prefixed(sys.stdout, job.name)):
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
            job.work()
        except UserError as error:
            telling.send(str(error))
        except KeyboardInterrupt as error:
            telling.send(f"interrupted; {error}")
            sys.exit(130)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Processes started meanwhile compute on so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C comes afterwards, here and in processes started meanwhile."""
    resource_tracker.ensure_running()  # starting it would let interrupts through
    signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)


@contextmanager
def _stopping(running: Mapping[str, _Process]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and whatever else ends this, is passed on; the processes are waited for."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except BaseException:
        for process in running.values():
            process.stop()
        for process in running.values():
            process.join()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class _Prefixed:
    """A stream that says at the start of each line who speaks."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name, self._fresh = stream, name, True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self._stream.write(f"{self._name}: {line}" if self._fresh else line)
            self._fresh = line.endswith("\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
