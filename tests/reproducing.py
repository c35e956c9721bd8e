"""`spnet reproduce` at miniature size: the command, and stand-ins for the small scale and for processes."""

import shutil
from collections.abc import Iterable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from miniature_scale import miniature_scale
from spnet.cli.main import main
from spnet.config.schema import RunConfig
from spnet.paper import reproduce
from spnet.paper.process_pool import Job, spnet_command
from spnet.training import fit as training

original_fit = training.fit


def shrink_small_scale(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--scale small` is miniature, its classifier is there at once, and jobs run in this process."""

    def train_classifier(backbone: Any, file: Path) -> float:
        shutil.copy(classifier, file)
        return 0.25

    monkeypatch.setattr(reproduce, "train_classifier", train_classifier)
    monkeypatch.setattr(reproduce, "small_scale", miniature_scale)
    monkeypatch.setattr(reproduce, "run_jobs", run_jobs_here)


def run_jobs_here(jobs: Iterable[Job], at_once: int, logs: Path) -> dict[str, str]:
    """The commands of jobs in turn, without the seconds that a process of their own takes to start."""
    problems: dict[str, str] = {}
    for job in jobs:
        failed = [name for name in job.after if name in problems]
        problem = f"{failed[0]} was not done" if failed else run_here(job.command)
        if problem:
            problems[job.name] = problem
    return problems


def run_here(command: tuple[str, ...]) -> str:
    """Run an `spnet` command in this process; returns its error message. Raises KeyboardInterrupt."""
    program, errors = spnet_command(), StringIO()
    assert command[: len(program)] == program
    with redirect_stderr(errors):
        status = main(command[len(program) :])
    if status == 130:
        raise KeyboardInterrupt
    return errors.getvalue().splitlines()[-1].partition(": error: ")[2] if status else ""


def command(data: Path, folder: Path, *further: str, table: str = "table8") -> list[str]:
    places = ["--runs", str(folder / "runs"), "--results", str(folder / "results")]
    return ["reproduce", table, "--data", f"synthetic={data}", "--scale", "small", *places, *further]


def forbid_training(monkeypatch: pytest.MonkeyPatch, but: Path | None = None) -> None:
    """Nothing is to be trained, but for what lies there."""

    def fit(config: RunConfig, output: Path, resume: bool) -> Path:
        assert output == but
        return original_fit(config, output, resume)

    monkeypatch.setattr(training, "fit", fit)
