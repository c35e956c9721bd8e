"""From a configuration to a finished run, and the files it leaves behind.

RUN/config.yaml             the resolved configuration
RUN/run.json                what it depends on, its state, how long it took and on what machine
RUN/weights.safetensors     the network, written when training is finished
RUN/best.safetensors        the network where its validation was best
RUN/teacher.safetensors     the network with the teacher's weights, if wanted
RUN/checkpoints/last.ckpt   everything that has state, to resume from; previous.ckpt is the one before
RUN/checkpoints/epoch_*     the network after some epochs, if wanted
RUN/logs/                   metrics.csv, validation.csv and what the logger writes
"""

import shutil
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightning as L
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.loggers import Logger

from spnet import distributed
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.files import LOCK, exclusive_lock, name_disk_errors, remove_partial, whole_files
from spnet.models.checkpoints import save_weights
from spnet.models.hub import WEIGHTS_NAME
from spnet.models.pretrained import first_line
from spnet.runs.folder import CONFIG_NAME, LAST, TEACHER, checkpoint_files, training_annotations, write_config
from spnet.runs.record import RECORD_NAME, RunRecord, fingerprint, read_record, source_fingerprint, write_record
from spnet.training.cpu import flush_denormals, keep_freed_memory
from spnet.training.interrupt import Interrupted
from spnet.training.loggers import LOGS
from spnet.training.module import TrainingModule
from spnet.training.nonfinite import TrainingDiverged
from spnet.training.sealed_checkpoints import choose_checkpoint
from spnet.training.teacher import teacher_network
from spnet.training.trainer import TrainingParts, build_trainer

# what there may be of a run that was killed before its first checkpoint
STARTED_FILES = {CONFIG_NAME, RECORD_NAME, LAST.parent.name, LOGS}


def fit(
    config: RunConfig,
    output: str | Path,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] | None = None,
) -> Path:
    """Train a network; returns its weights file.

    Args:
        config: the run.
        output: folder of the run; must be empty or absent, unless resumed. What a run left that was killed before its
            first checkpoint is removed.
        resume: continue from the run's last checkpoint, or the one before if that is damaged.
        callbacks: further callbacks (see `build_trainer`); the record of the run does not know what they change.
        loggers: in place of the one that `config.logger` names.

    Raises:
        UserError: data, weights or options that do not fit; nothing is left behind if training had not started.
        TrainingDiverged: training diverged; the record says so, and the curves are kept.
        KeyboardInterrupt: interrupted by a signal; the state is saved and `resume` continues.
    """
    output = Path(output)
    follows = distributed.follows(config.trainer.processes)  # the folder is the first process's
    if not follows:
        _check_output(output, resume)
    parts = build_trainer(config, output, callbacks, loggers)
    if follows:
        _follow(parts, output / LAST if resume else None)
        return output / WEIGHTS_NAME
    config = parts.module.config  # with the revision of its weights
    record = RunRecord(fingerprint(config, training_annotations(config), source_fingerprint(config)))
    with exclusive_lock(output):
        _check_output(output, resume)  # again: another run may have ended there in the meantime
        _clear(output, keep=resume)
        checkpoint = choose_checkpoint(output) if resume else None
        write_record(output, record)  # first: it says whose folder this is
        write_config(output / CONFIG_NAME, config)
        with _finalize_on_error(output, record), name_disk_errors(output):
            _fit(parts, checkpoint)
        weights = _save_network(output, parts.module)  # first: killed before its record a run that has them is finished
        seconds, steps = _timer(parts.trainer).time_elapsed("train"), parts.trainer.global_step
        write_record(output, replace(record, state="finished", seconds=round(seconds, 1), steps=steps))
        return weights


def _follow(parts: TrainingParts, checkpoint: Path | None) -> None:
    """Train beside the first process, which keeps the folder and reports what ends all of them."""
    try:
        _fit(parts, checkpoint)
    except TrainingDiverged:
        raise SystemExit(2) from None
    except Interrupted:
        raise SystemExit(130) from None


def _save_network(output: Path, module: TrainingModule) -> Path:
    """Write the weights of a finished run, the network's last: a folder that has them is finished."""
    pathway, teacher = module.config.objective.pathway, module.objective.teacher
    if module.config.checkpoint.teacher and teacher is not None:
        save_weights(output / TEACHER, teacher_network(teacher, module.network), pathway)
    save_weights(output / WEIGHTS_NAME, module.network, pathway)
    return output / WEIGHTS_NAME


@contextmanager
def _finalize_on_error(output: Path, record: RunRecord) -> Iterator[None]:
    """Leave nothing of a run without a checkpoint, unless it diverged; note in its record why a run failed."""
    try:
        yield
    except (UserError, Interrupted, SystemExit) as error:  # with SystemExit Lightning ends what is stopped at once
        saved, diverged = bool(checkpoint_files(output)), isinstance(error, TrainingDiverged)
        if not saved and not diverged:  # the loss curve shows how it diverged
            shutil.rmtree(output)
        if isinstance(error, UserError):
            if saved or diverged:
                state: Literal["failed", "diverged"] = "diverged" if diverged else "failed"
                with suppress(UserError):  # where the disk is full: the first error says so
                    write_record(output, replace(record, state=state, reason=str(error)))
            raise
        raise KeyboardInterrupt(f"go on with: spnet train --resume {output}" if saved else "nothing is saved") from None


def _check_output(output: Path, resume: bool) -> None:
    if resume:
        checkpoints = checkpoint_files(output)
        if not checkpoints:
            raise UserError(f"{str(output)!r} has no checkpoint to resume from")
        if (output / WEIGHTS_NAME).is_file():
            raise UserError(f"{str(output)!r} is finished; there is nothing to resume")
        if not any(map(zipfile.is_zipfile, checkpoints)):
            raise UserError(f"{str(checkpoints[0])!r} is damaged: the run cannot be resumed")
        return
    there = whole_files(output) if output.is_dir() else set()
    if (output.is_file() or there) and not _is_started(output):
        hint = f", or go on with --resume {output}" if checkpoint_files(output) else ""
        raise UserError(f"output {str(output)!r} exists; choose another folder{hint}")


def _is_started(output: Path) -> bool:
    """Whether a folder holds a run killed before its first checkpoint, and nothing else."""
    record = None if checkpoint_files(output) else read_record(output)
    return record is not None and record.state == "started" and whole_files(output) <= STARTED_FILES


def _clear(output: Path, keep: bool) -> None:
    """Remove what a run left that was killed before its first checkpoint, or while it wrote a file."""
    remove_partial(output)
    for entry in () if keep else output.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _fit(parts: TrainingParts, checkpoint: Path | None) -> None:
    trainer, module, loader = parts
    keep_freed_memory()
    with warnings.catch_warnings(), flush_denormals():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".broadcast_buffers. is deprecated")  # its successor is too new
        warnings.filterwarnings("ignore", message="Found .* in eval mode")  # a frozen backbone should be
        warnings.filterwarnings("ignore", message=".*(number of training batches|isinstance.treespec|LeafSpec).*")
        try:
            trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
        except Exception as error:  # to restore what is not of this run fails in any way
            if isinstance(error, UserError) or checkpoint is None or _timer(trainer).start_time() is not None:
                raise
            raise UserError(
                f"{str(checkpoint)!r} is no state of this run, it cannot be restored: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error


def _timer(trainer: L.Trainer) -> Timer:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it without a type
    return next(callback for callback in callbacks if isinstance(callback, Timer))
