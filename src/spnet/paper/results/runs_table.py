"""Every run below a folder as plain data: how it was trained, how it stands, what it reached, what is wrong with it."""

import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.evaluation.metrics_file import EvaluatorMismatch, measured_protocols, read_metrics
from spnet.evaluation.runner import METRICS as METRICS_NAME
from spnet.models.checkpoints import WEIGHTS_NAME
from spnet.runs.folder import CONFIG_NAME, CURVES, LAST, read_run_config
from spnet.runs.record import RECORD_NAME, RunRecord, read_record

INSIDE = ("checkpoints", "logs", "evaluation")  # folders of a run: no run is looked for in them


@dataclass(frozen=True)
class Evaluation:
    """What a run reached.

    Args:
        name: data, split and path at test time, as its folder is called.
        protocol: the retrieval protocol.
        figures: percent by metric; none where they cannot be read.
        evaluator_mismatch: measured with another version of the evaluator.
    """

    name: str
    protocol: str = ""
    figures: Mapping[str, float] | None = None
    evaluator_mismatch: bool = False


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        name: its path below the folder that was looked through.
        folder: where it is.
        state: finished, failed, diverged, interrupted, started or damaged.
        config: how it was trained; None where that cannot be read.
        started_from: the run or file whose weights it started from, or its backbone's weights.
        hours: of training, if it is finished.
        evaluations: in the order of their names.
        problems: a line each.
    """

    name: str
    folder: Path
    state: str
    config: RunConfig | None
    started_from: str
    hours: float | None
    evaluations: tuple[Evaluation, ...]
    problems: tuple[str, ...]

    def files(self) -> dict[str, Path]:
        """Configuration and weights, if they are there."""
        files = {"config": self.folder / CONFIG_NAME, "weights": self.folder / WEIGHTS_NAME}
        return {name: file for name, file in files.items() if file.is_file()}


def collect_runs(folder: Path) -> list[Run]:
    """All runs below a folder, or the folder itself, by name. What is wrong with a run is among its `problems`.

    Raises UserError for a folder that is missing or holds no run.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    runs = sorted((_read_run(path, folder) for path in _find_runs(folder)), key=lambda run: run.name)
    if not runs:
        raise UserError(f"{folder}: no run is there (no folder below it has a {CONFIG_NAME})")
    return runs


def _find_runs(folder: Path) -> Iterator[Path]:
    for path, folders, files in os.walk(folder):
        is_run = not {CONFIG_NAME, RECORD_NAME}.isdisjoint(files)
        folders[:] = [name for name in folders if not (name.startswith(".") or (is_run and name in INSIDE))]
        if is_run:
            yield Path(path)


def _read_run(path: Path, folder: Path) -> Run:
    problems: list[str] = []
    config, record = None, None
    try:
        config = read_run_config(path)
    except UserError as error:
        problems.append(str(error))
    try:
        record = read_record(path)
    except UserError as error:
        problems.append(str(error))
    state, problem = _state(path, record) if config else ("damaged", "")
    if problem:
        problems.append(problem)
    evaluations = tuple(_read_evaluations(path, problems))
    hours = _hours(record, problems) if state == "finished" and record else None
    started_from = _started_from(config, folder) if config else ""
    name = path.relative_to(folder).as_posix()
    told = dict.fromkeys(problem.replace(f"{path}{os.sep}", "") for problem in problems)  # the name says which run
    return Run(name, path, state, config, started_from, hours, evaluations, tuple(told))


def _state(path: Path, record: RunRecord | None) -> tuple[str, str]:
    """How a run stands, and what there is to say about it."""
    weights, checkpoint = path / WEIGHTS_NAME, path / LAST
    if weights.is_file():
        try:
            with safe_open(weights, "pt"):
                return "finished", ""
        except (SafetensorError, OSError) as error:
            return "damaged", f"{weights} is damaged ({error})"
    if record and record.state in ("failed", "diverged"):
        return record.state, f"{record.state}: {record.reason}"
    if record and record.state == "finished":
        return "damaged", f"{weights} is missing, though the run was finished"
    if not checkpoint.is_file():
        return "started", "nothing is saved: it is at its beginning, or was stopped there"
    if not zipfile.is_zipfile(checkpoint):
        return "damaged", f"{checkpoint} is damaged: the run cannot go on"
    return "interrupted", f"interrupted{_where(path)}, or still running; go on with: spnet train --resume {path}"


def _where(path: Path) -> str:
    """The last step that a run logged."""
    try:
        step = int((path / CURVES).read_text().splitlines()[-1].partition(",")[0])
    except (OSError, ValueError, IndexError):
        return ""
    return f" after step {step}"


def _hours(record: RunRecord, problems: list[str]) -> float | None:
    if not isinstance(record.seconds, int | float) or not 0 <= record.seconds < math.inf:
        problems.append(f"{RECORD_NAME} is damaged: seconds {record.seconds!r}")
        return None
    return record.seconds / 3600 or None  # 0: it was not timed


def _started_from(config: RunConfig, folder: Path) -> str:
    """A run or a file, below `folder` if it is; else the backbone's weights in words."""
    backbone = config.model.backbone.weights
    if config.weights.init_from is None and not Path(backbone).is_file():
        return {"none": "random weights", "imagenet": "ImageNet classifier"}.get(backbone, backbone)
    source, root = Path(config.weights.init_from or backbone).resolve(), folder.resolve()
    return source.relative_to(root).as_posix() if source.is_relative_to(root) else str(source)


def _read_evaluations(path: Path, problems: list[str]) -> Iterator[Evaluation]:
    """One a data set, split, path and protocol."""
    for folder in sorted(one for one in (path / "evaluation").glob("*") if one.is_dir()):
        file = folder / METRICS_NAME
        try:
            protocols = measured_protocols(file)
        except UserError as error:
            problems.append(str(error))
            yield Evaluation(folder.name)
            continue
        for protocol in protocols:
            try:
                yield Evaluation(folder.name, protocol, read_metrics(file, protocol))
            except EvaluatorMismatch as error:
                problems.append(str(error))
                yield Evaluation(folder.name, protocol, error.figures, evaluator_mismatch=True)
            except UserError as error:
                problems.append(str(error))
                yield Evaluation(folder.name, protocol)
