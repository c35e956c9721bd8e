"""Runs that nobody trained: only what a plan looks at is there."""

import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from spnet.evaluation.metrics_file import EVALUATOR_VERSION, METRICS
from spnet.evaluation.runner import evaluation_folder
from spnet.models.hub import WEIGHTS_NAME
from spnet.paper.measurements import Measurement
from spnet.paper.plan import Plan, Training
from spnet.runs.folder import CONFIG_NAME, LAST, split_file, write_config
from spnet.runs.record import RunRecord, annotations_digest, write_record
from spnet.training.module import TrainingModule


def finish(folder: Path, training: Training, seconds: float = 1800) -> Path:
    """A run that is finished."""
    begin(folder, training)
    write_record(folder, RunRecord(training.fingerprint, "finished", seconds=seconds, steps=9))
    save_file({"weight": torch.zeros(1)}, folder / WEIGHTS_NAME)
    return folder


def interrupt(folder: Path, training: Training) -> Path:
    """A run with a checkpoint."""
    begin(folder, training)
    (folder / LAST).parent.mkdir(parents=True)
    with zipfile.ZipFile(folder / LAST, "w") as archive:
        archive.writestr("data", "nothing")
    return folder


def diverge(folder: Path, training: Training) -> Path:
    """A run that cannot go on, with the checkpoint it had."""
    interrupt(folder, training)
    write_record(folder, RunRecord(training.fingerprint, "diverged", "training diverged: at step 7"))
    return folder


def fail(folder: Path, training: Training) -> Path:
    """A run that an error ended."""
    interrupt(folder, training)
    write_record(folder, RunRecord(training.fingerprint, "failed", "an image is missing"))
    return folder


def damage(folder: Path, training: Training) -> Path:
    """A run whose weights are cut off."""
    (finish(folder, training) / WEIGHTS_NAME).write_bytes(b"cut off")
    return folder


def begin(folder: Path, training: Training) -> Path:
    """A run that was killed before its first checkpoint."""
    write_config(folder / CONFIG_NAME, training.config)
    write_record(folder, RunRecord(training.fingerprint))
    return folder


def finish_all(plan: Plan, runs: Path) -> dict[str, Path]:
    """Every training of a plan is finished; folders by the digest they depend on."""
    return {run.fingerprint: finish(runs / f"run{number}", run) for number, run in enumerate(plan.trainings())}


def note_metrics(run: Path, wanted: Measurement, mean: float = 0.5, version: int = EVALUATOR_VERSION) -> Path:
    """An evaluation whose mAP is `mean`, on the annotations there are; returns its file."""
    search = {"mAP": mean, "top1": 0.25, "top5": 0.75, "top10": 1}
    section = {"detection": {"recall@0.5": 0.9, "ap@0.5": 0.85}, "detected": search, "ground_truth": search}
    about = {"annotations": annotations_digest(split_file(wanted.data, wanted.split))}
    file = evaluation_folder(run, wanted.data, wanted.split, wanted.pathway) / METRICS
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"evaluator_version": version, "protocols": {wanted.split: section}, "about": about}
    file.write_text(json.dumps(content))
    return file


def interrupt_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C comes while the step is computed."""
    original = TrainingModule.training_step

    def training_step(self: TrainingModule, batch: Any, index: int) -> Any:
        if self.global_step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
