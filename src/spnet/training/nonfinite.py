"""Skips steps whose loss or gradient is not finite, and stops a run that such steps are all that is left of."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NoReturn

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from spnet import distributed
from spnet.errors import UserError
from spnet.training.curves import read_losses
from spnet.types import SceneBatch

logger = logging.getLogger(__name__)

MOST_IN_A_ROW = 10  # skipped steps
MOST_IMAGES = 16  # named in a message
Named = Iterable[tuple[str, Tensor]]


class TrainingDiverged(UserError):
    """Training diverged; the same run again would diverge again."""


def first_non_finite(tensors: Named) -> str | None:
    """The name of the first tensor with a number that is not finite, if any has one; a GPU is waited for once."""
    floating = [(name, tensor) for name, tensor in tensors if tensor.is_floating_point() and tensor.numel()]
    if get_total_norm([tensor for _, tensor in floating], math.inf).isfinite():
        return None
    return next(name for name, tensor in floating if not tensor.isfinite().all())


def spread_non_finite(loss: Tensor) -> Tensor:
    """The same loss with the same gradient; if it is not finite, all gradients are NaN, in every process of a run."""
    return loss * torch.where(loss.detach().isfinite(), 1.0, math.nan)


class SkipNonFinite(Callback):
    """Skips steps whose loss or gradient is not finite, counts them, and names their images.

    Such a step leaves weights and optimizer as they are; the schedule of the learning rate goes on. On a GPU the fused
    optimizer skips it by itself, and what was skipped is read every `every` steps; the teacher then takes its step
    towards a student that did not move. With loss scaling the scaler skips overflows of the gradient, which are part
    of how it works; only where the loss itself is not finite, or scaling is down to 1, a step counts as skipped.

    Ends the run after `MOST_IN_A_ROW` skipped steps in a row, after an epoch of which most was skipped, and where
    weights or buffers are no longer finite, which is looked at every `every` steps and before a checkpoint is written.

    Args:
        file_names: the images of scene ids.
        every: steps between two looks, each of which waits for the device.
    """

    def __init__(self, file_names: Callable[[Sequence[int]], list[str]], every: int = 10) -> None:
        self.file_names, self.every = file_names, every
        self.skipped = self.in_epoch = self.in_a_row = 0
        self._finite = torch.tensor(True)  # the gradient of this step
        self._later = False  # whether reading that would wait for a GPU
        self._bad_gradient: str | None = None
        self._unread: list[tuple[int, Tensor, Tensor]] = []  # step, scene ids, whether it was skipped
        self._recent: deque[Tensor] = deque(maxlen=every)  # scene ids of the last steps

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know."""
        return {"skipped": self.skipped, "in_epoch": self.in_epoch, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.skipped, self.in_epoch = state_dict["skipped"], state_dict["in_epoch"]
        self.in_a_row = state_dict["in_a_row"]

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer) -> None:
        """Have the step skipped if its gradient is not finite."""
        gradients = [(name, one.grad) for name, one in pl_module.named_parameters() if one.grad is not None]
        self._finite = get_total_norm([gradient for _, gradient in gradients]).isfinite()
        self._bad_gradient = None
        self._later = bool(optimizer.defaults.get("fused"))
        if _scaler(trainer) is not None:
            return
        if self._later:
            optimizer.found_inf = 1 - self._finite.float()  # type: ignore[attr-defined]  # its kernel reads it
        elif not self._finite:
            self._bad_gradient = first_non_finite(gradients)
            optimizer.zero_grad()  # it leaves alone what has no gradient

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: SceneBatch, batch_idx: int
    ) -> None:
        """Count the step, and look at all of them from time to time. Raises TrainingDiverged if there is no hope."""
        skipped = self._was_skipped(trainer, outputs["loss"])
        self._unread.append((trainer.global_step, batch.scene_ids, skipped))
        self._recent.append(batch.scene_ids)
        look = trainer.global_step % self.every == 0 or trainer.is_last_batch
        if look or not self._later:
            before = self.skipped
            self._read(trainer)
            if look or self.skipped > before:
                self._check_state(trainer, pl_module)
                self._check_counts(trainer)

    def _was_skipped(self, trainer: L.Trainer, loss: Tensor) -> Tensor:
        scaler = _scaler(trainer)
        if scaler is None:
            return ~self._finite
        overflow = not self._finite and scaler.get_scale() <= 1
        return torch.tensor(distributed.agree(overflow or not loss.isfinite()))

    def _read(self, trainer: L.Trainer) -> None:
        flags = torch.stack([skipped for *_, skipped in self._unread]).tolist()
        for (step, scene_ids, _), skipped in zip(self._unread, flags, strict=True):
            self.in_a_row = self.in_a_row + 1 if skipped else 0
            self.skipped += skipped
            self.in_epoch += skipped
            if skipped and trainer.is_global_zero:
                cause = self._cause(trainer) if step == trainer.global_step else "its loss or gradient"
                logger.warning(f"step {step} is skipped: {cause} is not finite; {self._images([scene_ids])}")
        self._unread.clear()

    def _check_state(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        name = first_non_finite(chain(module.named_parameters(), module.named_buffers()))
        if name := next(filter(None, distributed.exchange(name)), None):
            self._stop(f"at step {trainer.global_step} {name} is not finite")

    def _check_counts(self, trainer: L.Trainer) -> None:
        steps, in_epoch = trainer.num_training_batches, self.in_epoch
        if trainer.is_last_batch:
            self.in_epoch = 0
        if self.in_a_row >= MOST_IN_A_ROW:
            self._stop(f"{self.in_a_row} steps in a row were skipped, since {self._cause(trainer)} is not finite")
        if trainer.is_last_batch and 2 * in_epoch > steps:
            self._stop(f"{in_epoch} of the {steps} steps of epoch {trainer.current_epoch + 1} were skipped")

    def _cause(self, trainer: L.Trainer) -> str:
        """What of this step is not finite: a loss, or else a gradient."""
        losses = read_losses(trainer)
        losses.pop("loss/total", None)
        bad = next((name for name, value in losses.items() if not math.isfinite(value)), None)
        return bad or (f"the gradient of {self._bad_gradient}" if self._bad_gradient else "the gradient")

    def _stop(self, reason: str) -> NoReturn:
        images = self._images(list(self._recent))
        raise TrainingDiverged(f"training diverged: {reason}; {images}; try a lower optimizer.lr, or a longer warm-up")

    def _images(self, scene_ids: list[Tensor]) -> str:
        names = list(dict.fromkeys(self.file_names(torch.cat(scene_ids).tolist())))
        return f"images: {', '.join(names[:MOST_IMAGES])}{', ...' if len(names) > MOST_IMAGES else ''}"


def _scaler(trainer: L.Trainer) -> torch.amp.GradScaler | None:
    scaler: torch.amp.GradScaler | None = getattr(trainer.precision_plugin, "scaler", None)
    return scaler
