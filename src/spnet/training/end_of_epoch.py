"""What a run does between two epochs: it is validated, and the best weights and those of some epochs are kept."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from spnet import distributed
from spnet.config.schema import RunConfig
from spnet.models.checkpoints import save_weights
from spnet.runs.folder import BEST, EPOCH_WEIGHTS, LAST, VALIDATION_CURVES
from spnet.training.curves import MetricTable
from spnet.training.interrupt import StopOnInterrupt
from spnet.training.module import TrainingModule
from spnet.training.progress import RunProgress
from spnet.training.validation import Measure, as_tags, monitor_of, validation_interval


class EndOfEpoch(Callback):
    """Validates, keeps weights and stops early at the end of an epoch.

    Lightning's validation loop, `ModelCheckpoint(monitor)` and `EarlyStopping` do not fit: `spnet evaluate`'s metrics
    come from one pass over the scenes and another over all of their detections, weights are safetensors without
    optimizer, and a run that is resumed at the last step of an epoch skips the hooks of its end. So the state is saved
    before a validation, and a run resumed there validates first.

    Args:
        config: the run.
        run: its folder.
        measure: what `make_measure` made, if there is something to measure on.
        progress: shows the metrics.
        interrupt: lets a signal end a validation at once.
    """

    def __init__(
        self, config: RunConfig, run: Path, measure: Measure | None, progress: RunProgress, interrupt: StopOnInterrupt
    ) -> None:
        self.config, self.run, self.measure = config, run, measure
        self.progress, self.interrupt = progress, interrupt
        self.interval = validation_interval(config)
        self.monitor = monitor_of(config)
        self.table = MetricTable(run / VALIDATION_CURVES)
        self.epoch = 0  # the last one whose end was handled
        self.misses = 0  # validations since the best
        self.best = math.nan

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know."""
        return {"epoch": self.epoch, "misses": self.misses, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.epoch, self.misses, self.best = state_dict["epoch"], state_dict["misses"], state_dict["best"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Handle the end of an epoch after whose last step the run was interrupted."""
        if trainer.is_global_zero:
            self.table.keep_until(trainer.global_step)
        if trainer.current_epoch > self.epoch:
            self._finish(trainer, pl_module, trainer.current_epoch)
        self._stop_early(trainer)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: object) -> None:
        """Save the state before a validation, so that an interruption of it loses nothing."""
        if trainer.is_last_batch and self._is_due(trainer.current_epoch + 1):
            trainer.save_checkpoint(self.run / LAST)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Handle the end of an epoch."""
        self._finish(trainer, pl_module, trainer.current_epoch + 1)
        self._stop_early(trainer)

    def _is_due(self, epoch: int) -> bool:
        last = epoch == self.config.optimizer.epochs
        return self.measure is not None and (last or epoch % self.interval == 0)

    def _finish(self, trainer: L.Trainer, module: L.LightningModule, epoch: int) -> None:
        if not isinstance(module, TrainingModule):
            raise TypeError(f"{type(module).__name__} is no TrainingModule")
        if trainer.is_global_zero:
            with distributed.alone():
                self._measure_and_keep(trainer, module, epoch)
        self.epoch = epoch

    def _measure_and_keep(self, trainer: L.Trainer, module: TrainingModule, epoch: int) -> None:
        if self.measure is not None and self._is_due(epoch):
            with self.progress.paused(), self.interrupt.at_once():
                metrics = self.measure(module)
            self._log(trainer, metrics)
            self._keep_best(module, metrics[self.monitor], epoch)
        every = self.config.checkpoint.every_n_epochs
        if every and epoch % every == 0:
            file = self.run / str(EPOCH_WEIGHTS).format(epoch)
            save_weights(file, module.network, self.config.objective.pathway, epoch=epoch)

    def _log(self, trainer: L.Trainer, metrics: Mapping[str, float]) -> None:
        self.table.keep_until(trainer.global_step - 1)  # killed after the last validation, this one is its repetition
        self.table.append(trainer.global_step, metrics)
        self.progress.show(metrics)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in as_tags(metrics).items()})
        for logger in trainer.loggers:
            logger.log_metrics(as_tags(metrics), trainer.global_step)

    def _keep_best(self, module: TrainingModule, metric: float, epoch: int) -> None:
        better = metric < self.best if self.monitor == "loss" else metric > self.best
        if not better and not math.isnan(self.best):
            self.misses += 1
            return
        self.misses, self.best = 0, metric
        about = {"epoch": epoch, "metric": {self.monitor: metric}}
        save_weights(self.run / BEST, module.network, self.config.objective.pathway, **about)

    def _stop_early(self, trainer: L.Trainer) -> None:
        patience = self.config.validation.patience
        trainer.should_stop = distributed.agree(trainer.should_stop or 0 < patience <= self.misses)
