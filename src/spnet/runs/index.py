"""Every run below a folder and how each stands: the one answer to "is it done already?"."""

import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError, safe_open

from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.files import whole_files
from spnet.models.hub import WEIGHTS_NAME
from spnet.runs.folder import CONFIG_NAME, LAST, checkpoint_files, read_run_config
from spnet.runs.record import RECORD_NAME, RunRecord, read_record

INSIDE = ("checkpoints", "logs", "evaluation")  # subfolders of a run, in which no run is looked for
Content = TypeVar("Content")


class RunState(StrEnum):
    """How a run stands; of two runs of one training the one whose state is listed first counts."""

    FINISHED = "finished"
    """it has its weights"""
    DIVERGED = "diverged"
    """its weights became infinite or NaN; the same training would diverge again"""
    INTERRUPTED = "interrupted"
    """it has a checkpoint and no weights: it was stopped or is still running, and can be resumed"""
    FAILED = "failed"
    """an error ended it, which its record names; it can be resumed once the cause is gone"""
    STARTED = "started"
    """nothing is saved yet: it is at its beginning or was killed there, and has to start again"""
    DAMAGED = "damaged"
    """a file is missing or cannot be read; it can neither be used nor resumed"""
    MISSING = "missing"
    """there is no such run"""


@dataclass(frozen=True)
class Run:
    """A run on disk.

    Args:
        folder: the run's folder; where it will be if it is missing.
        state: how it stands.
        reason: why it diverged or failed, or what is damaged.
        config: how it is trained; None where that cannot be read.
        record: what it noted of itself; None where there is none or it cannot be read.
        problems: what cannot be read, a line each.
    """

    folder: Path
    state: RunState
    reason: str = ""
    config: RunConfig | None = None
    record: RunRecord | None = None
    problems: tuple[str, ...] = ()


class RunIndex:
    """The runs below a folder, at any depth, in the order of their paths.

    Args:
        folder: searched once; need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = [read_run(path) for path in _find_runs(folder)]
        self._best: dict[str, Run] = {}
        for run in sorted(self.runs, key=lambda run: list(RunState).index(run.state)):
            if run.record:
                self._best.setdefault(run.record.fingerprint, run)

    def find(self, fingerprint: str, name: str) -> Run:
        """The best run of this fingerprint, wherever it lies; if there is none, a missing one called `name`."""
        return self._best.get(fingerprint) or Run(self.folder / name, RunState.MISSING)


def read_run(folder: Path) -> Run:
    """Read how a run stands. What is wrong with it is said in the result."""
    problems: list[str] = []
    config = _attempt(read_run_config, folder, problems)
    state, reason = RunState.DAMAGED, "".join(problems)
    record = _attempt(read_record, folder, problems)
    if config is not None:
        state, reason = _state(folder, record)
    elif record and record.state == "started" and whole_files(folder) == {RECORD_NAME}:
        state, reason = RunState.STARTED, ""  # killed before its next file, the configuration
    return Run(folder, state, reason, config, record, tuple(problems))


def _attempt(read: Callable[[Path], Content], folder: Path, problems: list[str]) -> Content | None:
    try:
        return read(folder)
    except UserError as error:
        problems.append(str(error))
        return None


def _find_runs(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        is_run = not {CONFIG_NAME, RECORD_NAME}.isdisjoint(files)
        folders[:] = sorted(name for name in folders if not (name.startswith(".") or (is_run and name in INSIDE)))
        if is_run:
            yield Path(path)


def _state(folder: Path, record: RunRecord | None) -> tuple[RunState, str]:
    """The state of a run whose configuration is sound, and the reason for it."""
    weights, checkpoints = folder / WEIGHTS_NAME, checkpoint_files(folder)
    if weights.is_file():
        try:
            with safe_open(weights, "numpy"):  # "pt" would load torch
                return RunState.FINISHED, ""
        except (SafetensorError, OSError) as error:
            return RunState.DAMAGED, f"{WEIGHTS_NAME} is damaged ({error})"
    if record and record.state in ("failed", "diverged"):
        return RunState(record.state), record.reason
    if record and record.state == "finished":
        return RunState.DAMAGED, f"{WEIGHTS_NAME} is missing, though the run was finished"
    if not checkpoints:
        return RunState.STARTED, ""
    if not any(map(zipfile.is_zipfile, checkpoints)):  # complete; whether they are sound is tested to resume
        return RunState.DAMAGED, f"{LAST} is damaged: the run cannot be resumed"
    return RunState.INTERRUPTED, ""
