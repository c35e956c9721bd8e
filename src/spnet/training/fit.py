"""From a configuration to a finished run: data, network, trainer, and the files a run leaves behind.

RUN/config.yaml             the resolved configuration
RUN/run.json                what it depends on, its state, how long it took and on what machine
RUN/weights.safetensors     the network, written when training is finished
RUN/best.safetensors        the network where its validation was best
RUN/teacher.safetensors     the network with the teacher's weights, if wanted
RUN/checkpoints/last.ckpt   everything that has state, to resume from; previous.ckpt is the one before
RUN/checkpoints/epoch_*     the network after some epochs, if wanted
RUN/logs/                   metrics.csv, validation.csv and what the logger writes (TensorBoard events)
"""

import logging
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.strategies import DDPStrategy

from spnet import distributed
from spnet.config.io import check
from spnet.config.schema import Precision, RunConfig
from spnet.data.dataloader import TrainingLoader, training_loader
from spnet.data.dataset import PersonSearchDataset
from spnet.data.schema import check_images_exist, read_annotations
from spnet.errors import UserError
from spnet.files import LOCK, exclusive_lock, name_disk_errors, remove_partial
from spnet.models.checkpoints import WEIGHTS_NAME, save_weights
from spnet.models.hub import pin
from spnet.models.pretrained import first_line
from spnet.runs.folder import (
    CONFIG_NAME,
    CURVES,
    LAST,
    TEACHER,
    checkpoint_files,
    training_annotations,
    write_config,
)
from spnet.runs.record import RECORD_NAME, RunRecord, fingerprint, read_record, source_fingerprint, write_record
from spnet.training.cpu import flush_denormals, keep_freed_memory
from spnet.training.curves import LossCurves
from spnet.training.end_of_epoch import EndOfEpoch
from spnet.training.interrupt import Interrupted, StopOnInterrupt
from spnet.training.loggers import LOGS, check_logger, make_logger
from spnet.training.module import TrainingModule
from spnet.training.nonfinite import SkipNonFinite, TrainingDiverged
from spnet.training.progress import RunProgress
from spnet.training.sealed_checkpoints import SaveState, SealedCheckpoints, choose_checkpoint
from spnet.training.teacher import teacher_network
from spnet.training.transfer import build_network
from spnet.training.validation import Measure, make_measure

logger = logging.getLogger(__name__)

# what there may be of a run that was killed before its first checkpoint
STARTED_FILES = {CONFIG_NAME, RECORD_NAME, LAST.parent.name, LOGS, LOCK}


def fit(config: RunConfig, output: Path, resume: bool = False) -> Path:
    """Train a network; returns its weights file.

    Args:
        config: the run.
        output: folder of the run; must be empty or absent, unless resumed. What a run left that was killed before its
            first checkpoint is removed.
        resume: continue from the run's last checkpoint, or the one before if that is damaged.

    Raises:
        UserError: data, weights or options that do not fit; nothing is left behind if training had not started.
        TrainingDiverged: training diverged; the record says so, and the curves are kept.
        KeyboardInterrupt: interrupted by a signal; the state is saved and `resume` continues.
    """
    check(config)
    check_logger(config.logger)
    if config.weights.init_from is not None:
        config = replace(config, weights=replace(config.weights, init_from=pin(config.weights.init_from)))
    follows = distributed.follows(config.trainer.processes)  # the folder is the first process's
    if not follows:
        _check_output(output, resume)
    L.seed_everything(config.seed, workers=True, verbose=False)
    loader = make_training_loader(config)
    measure = make_measure(config)
    network, origin = build_network(config)
    logger.info(origin)
    identities = loader.scenes.num_identities
    module = TrainingModule(config, network, identities, len(loader))
    timer = Timer()
    trainer = _make_trainer(config, output, timer, measure, loader.scenes)
    if follows:
        _follow(trainer, module, loader, output / LAST if resume else None, timer)
        return output / WEIGHTS_NAME
    record = RunRecord(fingerprint(config, training_annotations(config), source_fingerprint(config)))
    with exclusive_lock(output):
        _check_output(output, resume)  # again: another run may have ended there in the meantime
        _clear(output, keep=resume)
        checkpoint = choose_checkpoint(output) if resume else None
        write_config(output, config)
        write_record(output, record)
        with _finalize_on_error(output, record), name_disk_errors(output):
            _fit(trainer, module, loader, checkpoint, timer)
        weights = _save_network(output, module)  # first: killed before its record a run that has them is finished
        seconds, steps = timer.time_elapsed("train"), trainer.global_step
        write_record(output, replace(record, state="finished", seconds=round(seconds, 1), steps=steps))
        return weights


def _follow(
    trainer: L.Trainer, module: TrainingModule, loader: TrainingLoader, checkpoint: Path | None, timer: Timer
) -> None:
    """Train beside the first process, which keeps the folder and reports what ends all of them."""
    try:
        _fit(trainer, module, loader, checkpoint, timer)
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


def make_training_loader(config: RunConfig) -> TrainingLoader:
    """Make the loader of a run's training scenes. Raises UserError for data that is missing or malformed."""
    data = config.data
    if not data.root:
        raise UserError("no data set is given: --data DIR names one made by `spnet prepare`")
    views = data.augmentation.num_views
    if data.batch_size < views or data.batch_size % views:
        raise UserError(f"data.batch_size {data.batch_size} is no multiple of data.augmentation.num_views {views}")
    annotations = read_annotations(training_annotations(config))
    check_images_exist(annotations)
    scenes = PersonSearchDataset(annotations, data.augmentation, config.seed, data.unique_id_per_box, data.cache_mb)
    return training_loader(
        scenes,
        data.batch_size // views,
        data.num_workers,
        config.seed,
        config.trainer.processes,
        data.drop_last,
    )


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
    there = set() if not output.is_dir() else {file.name for file in output.iterdir()} - {LOCK}
    if (output.is_file() or there) and not _is_started(output):
        hint = f", or go on with --resume {output}" if checkpoint_files(output) else ""
        raise UserError(f"output {str(output)!r} exists; choose another folder{hint}")


def _is_started(output: Path) -> bool:
    """Whether a folder holds a run killed before its first checkpoint, and nothing else."""
    if not output.is_dir() or not (output / RECORD_NAME).is_file() or checkpoint_files(output):
        return False
    record = read_record(output)
    return (
        record is not None and record.state == "started" and {file.name for file in output.iterdir()} <= STARTED_FILES
    )


def _clear(output: Path, keep: bool) -> None:
    """Remove what a run left that was killed before its first checkpoint, or while it wrote a file."""
    remove_partial(output)
    for entry in () if keep else output.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != LOCK:
            entry.unlink()


def _make_trainer(
    config: RunConfig, output: Path, timer: Timer, measure: Measure | None, scenes: PersonSearchDataset
) -> L.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    optimizer = config.optimizer
    gpu = torch.cuda.is_available()
    progress, interrupt = RunProgress(), StopOnInterrupt(output / LAST)
    return L.Trainer(
        accelerator="auto" if gpu else "cpu",
        devices=config.trainer.devices,
        num_nodes=config.trainer.nodes,
        strategy=_strategy(config),
        benchmark=gpu and config.data.augmentation.name != "wrs",  # crops are of one size, whole scenes of many
        max_epochs=optimizer.epochs,
        precision=precision_of(optimizer.precision),
        gradient_clip_val=optimizer.grad_clip_norm,
        logger=make_logger(config.logger, output) or False,
        callbacks=[
            LossCurves(output / CURVES),
            SkipNonFinite(scenes.names_of),
            EndOfEpoch(config, output, measure, progress, interrupt),
            progress,
            timer,
            SaveState(output / LAST, config.checkpoint),
            interrupt,
        ],
        plugins=[SealedCheckpoints()],
        enable_model_summary=False,
        log_every_n_steps=10,
        use_distributed_sampler=False,
    )


def _strategy(config: RunConfig) -> DDPStrategy | str:
    """How several processes share gradients: every parameter takes part in every step, buffers are equal already."""
    if config.trainer.processes == 1:
        return "auto"
    if torch.cuda.is_available() and config.trainer.devices > torch.cuda.device_count():
        raise UserError(f"trainer.devices {config.trainer.devices}: this machine has {torch.cuda.device_count()} GPUs")
    return DDPStrategy(find_unused_parameters=False, broadcast_buffers=False, gradient_as_bucket_view=True)


def precision_of(wanted: Precision) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    """Resolve `auto`: bfloat16 where the device computes fast in it, else half precision on a GPU, float32 on a CPU.

    bfloat16 needs no loss scaling, which would hide a batch that is not finite behind steps left out.
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16-mixed" if capabilities.get("avx512_bf16") else "32-true"


def _fit(
    trainer: L.Trainer, module: TrainingModule, loader: TrainingLoader, checkpoint: Path | None, timer: Timer
) -> None:
    keep_freed_memory()
    with warnings.catch_warnings(), flush_denormals():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".broadcast_buffers. is deprecated")  # its successor is too new
        warnings.filterwarnings("ignore", message="Found .* in eval mode")  # a frozen backbone should be
        warnings.filterwarnings("ignore", message=".*(number of training batches|isinstance.treespec|LeafSpec).*")
        try:
            trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
        except Exception as error:  # to restore what is not of this run fails in any way
            if isinstance(error, UserError) or checkpoint is None or timer.start_time() is not None:
                raise
            raise UserError(
                f"{str(checkpoint)!r} is no state of this run, it cannot be restored: "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error
