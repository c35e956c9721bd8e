"""Stops a run whose weights are no longer finite: it can learn nothing, and its state should not be saved."""

import math

import lightning as L
from lightning.pytorch.callbacks import Callback

from spnet.errors import UserError
from spnet.training.curves import read_losses


class NonFiniteWeights(UserError):
    """Training diverged; the same run again would diverge again."""


class StopOnNonFinite(Callback):
    """Checks the weights where the loss is not finite, and at the end of an epoch, before a checkpoint is written.

    The loss alone does not decide: in mixed precision it may overflow for a step, which is then skipped.

    Args:
        every: steps between two checks of the loss, each of which waits for the device.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *arguments: object) -> None:
        """Check the loss or the weights. Raises NonFiniteWeights if training has diverged."""
        overflow = trainer.global_step % self.every == 0 and not math.isfinite(read_losses(trainer)["loss/total"])
        if overflow or trainer.is_last_batch:
            self._check(trainer, pl_module)

    def _check(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if not all(parameter.isfinite().all() for parameter in module.parameters()):
            raise NonFiniteWeights(
                f"training diverged: at step {trainer.global_step} weights are no finite numbers; "
                "try a lower optimizer.lr, or a longer warm-up"
            )
