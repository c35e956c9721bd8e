"""A run's trainer, module and data, as `fit` and `spnet train` use them, and anybody who wants them apart."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy

from spnet.config.io import check
from spnet.config.presets import with_values
from spnet.config.schema import Precision, RunConfig
from spnet.data.dataloader import TrainingLoader
from spnet.data.dataset import PersonSearchDataset
from spnet.data.schema import check_images_exist, read_annotations
from spnet.errors import UserError
from spnet.models.hub import pin
from spnet.runs.folder import CURVES, LAST, training_annotations
from spnet.training.curves import LossCurves
from spnet.training.end_of_epoch import EndOfEpoch
from spnet.training.interrupt import StopOnInterrupt
from spnet.training.loggers import check_logger, make_loggers
from spnet.training.module import TrainingModule
from spnet.training.nonfinite import SkipNonFinite
from spnet.training.progress import RunProgress
from spnet.training.sealed_checkpoints import SaveState, SealedCheckpoints
from spnet.training.transfer import build_network
from spnet.training.validation import make_measure

logger = logging.getLogger(__name__)


class TrainingParts(NamedTuple):
    """What a run is made of: `trainer.fit(module, loader)` trains."""

    trainer: L.Trainer
    module: TrainingModule
    loader: TrainingLoader


def build_trainer(
    config: RunConfig, output: str | Path, callbacks: Sequence[Callback] = (), loggers: Sequence[Logger] | None = None
) -> TrainingParts:
    """Build a run's trainer, its Lightning module and its loader of training scenes; nothing is written yet.

    `spnet.fit` is this, with the record, the lock and the weights of a run's folder around `trainer.fit`. It takes the
    same callbacks and loggers; build the trainer yourself only to do something else with the parts.

    Args:
        config: the run.
        output: its folder, where the run's own callbacks write curves, checkpoints and the best weights.
        callbacks: further callbacks, called after the run's own; those with state are of other types. In
            `trainer.callback_metrics` they find the losses (`loss/total`) and, in the first process, what was last
            validated (`val/mAP`).
        loggers: in place of the one that `config.logger` names.

    Raises:
        UserError: data, weights or options that do not fit.

    Example:
        >>> trainer, module, loader = build_trainer(config, "runs/mine", callbacks=[LearningRateMonitor()])
        >>> trainer.fit(module, loader)
        >>> Searcher(module.network).save("runs/mine/weights.safetensors")
    """
    check(config)
    if loggers is None:
        check_logger(config.logger)
    if config.weights.init_from is not None:
        config = with_values(config, "weights", init_from=pin(config.weights.init_from))
    L.seed_everything(config.seed, workers=True, verbose=False)
    loader = make_training_loader(config)
    own = _own_callbacks(config, Path(output), loader.scenes)
    network, origin = build_network(config)
    logger.info(origin)
    module = TrainingModule(config, network, loader.scenes.num_identities, len(loader))
    if loggers is None:
        loggers = make_loggers(config.logger, Path(output))
    return TrainingParts(_make_trainer(config, [*own, *callbacks], loggers), module, loader)


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
    return TrainingLoader(
        scenes, data.batch_size // views, data.num_workers, config.seed, config.trainer.processes, data.drop_last
    )


def _own_callbacks(config: RunConfig, output: Path, scenes: PersonSearchDataset) -> list[Callback]:
    progress, interrupt = RunProgress(), StopOnInterrupt(output / LAST)
    return [
        LossCurves(output / CURVES),
        SkipNonFinite(scenes.names_of),
        EndOfEpoch(config, output, make_measure(config), progress, interrupt),
        progress,
        Timer(),
        SaveState(output / LAST, config.checkpoint),
        interrupt,
    ]


def _make_trainer(config: RunConfig, callbacks: list[Callback], loggers: Sequence[Logger]) -> L.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    optimizer = config.optimizer
    gpu = torch.cuda.is_available()
    return L.Trainer(
        accelerator="auto" if gpu else "cpu",
        devices=config.trainer.devices,
        num_nodes=config.trainer.nodes,
        strategy=_strategy(config),
        benchmark=gpu and config.data.augmentation.name != "wrs",  # crops are of one size, whole scenes of many
        max_epochs=optimizer.epochs,
        precision=precision_of(optimizer.precision),
        gradient_clip_val=optimizer.grad_clip_norm,
        logger=list(loggers) or False,
        callbacks=callbacks,
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
