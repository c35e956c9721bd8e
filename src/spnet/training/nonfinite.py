"""Stops a run whose weights are no numbers any more: it can learn nothing, and nothing of it should be saved."""

import math
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from spnet.errors import UserError


class NonFiniteWeights(UserError):
    """Training diverged; the same run again would diverge again."""


class StopOnNonFinite(Callback):
    """Looks at the loss now and then, and at the weights if it is odd or an epoch ends, before a checkpoint is written.

    A loss alone may be odd for a step in mixed precision, where such a step is skipped.

    Args:
        every: steps between two looks at the loss, each of which waits for the device.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: Any) -> None:
        """Raises NonFiniteWeights if training has diverged."""
        if trainer.global_step % self.every == 0 and not math.isfinite(trainer.callback_metrics["loss/total"]):
            self._check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Raises NonFiniteWeights if training has diverged."""
        self._check(trainer, pl_module)

    def _check(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not all(parameter.isfinite().all() for parameter in module.parameters()):
            raise NonFiniteWeights(
                f"training diverged: at step {trainer.global_step} weights are no finite numbers; "
                "try a lower optimizer.lr, or a longer warm-up"
            )
