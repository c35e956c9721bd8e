"""A training step as a Lightning module."""

from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from spnet import distributed
from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.models.checkpoints import diff_state_dict
from spnet.models.spnet import SPNet
from spnet.training.nonfinite import spread_non_finite
from spnet.training.objective import SPNetLoss, compile_parts, freeze_unused
from spnet.training.optimizer import freeze, lr_factor, make_optimizer
from spnet.types import SceneBatch

RESTORED = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks", "world_size")


class TrainingModule(L.LightningModule):
    """Network and objective of a run.

    Args:
        config: the run.
        network: the student.
        identities: known identities of the data.
        epoch_steps: optimizer steps of an epoch.
    """

    def __init__(self, config: RunConfig, network: SPNet, identities: int, epoch_steps: int) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.objective = SPNetLoss(config.objective, network, identities)
        self.epoch_steps = epoch_steps
        self.warned = False
        if config.optimizer.freeze_backbone:
            freeze(network.backbone)
        freeze_unused(network, config.objective)
        network.set_grad_checkpointing(config.trainer.grad_checkpointing)
        if config.trainer.compile:
            compile_parts(network, self.objective)

    def train(self, mode: bool = True) -> "TrainingModule":
        """Set the mode of all modules but a frozen backbone, which stays in evaluation mode."""
        super().train(mode)
        if self.config.optimizer.freeze_backbone and self.config.objective.frozen_mode == "eval":
            self.network.backbone.eval()
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save how many processes there are: they share a batch, so others would go on differently."""
        checkpoint["world_size"] = distributed.world_size()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another run. Raises UserError."""
        if missing := [name for name in RESTORED if name not in checkpoint]:
            raise UserError(f"the checkpoint is no state of a run: it has no {', '.join(missing)}")
        if problems := diff_state_dict(self.state_dict(), checkpoint["state_dict"]):
            raise UserError(f"the checkpoint is not of this configuration and data: {problems}")
        if (there := checkpoint["world_size"]) != (here := distributed.world_size()):
            raise UserError(f"the checkpoint is of a run of {there} processes, this one has {here}")

    def on_train_batch_start(self, batch: SceneBatch, index: int) -> None:
        """Seed what is sampled in the step by its number, so that a resumed run needs no generator's state."""
        key = (self.config.seed, self.trainer.global_step, distributed.rank())
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def training_step(self, batch: SceneBatch, index: int) -> Tensor:
        """Compute the sum of all losses, and log each."""
        losses: dict[str, Tensor] = self.objective(self.network, batch)
        total = torch.stack(list(losses.values())).sum()
        logged = {f"loss/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(logged | {"loss/total": total.detach()}, batch_size=len(batch.images))
        return spread_non_finite(total)

    def on_train_epoch_end(self) -> None:
        """Warn once of boxes that query-centric training left out; counted here, no step waits for the device."""
        if not self.warned and (boxes := int(self.objective.repeated)):
            self.warned = True
            rank_zero_warn(
                f"{boxes} boxes of this epoch share a scene with another box of the same person: they were left out of "
                "its queries"
            )

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:  # Lightning's, handed on
        """A step of the student, then one of the teacher (as released: the other way round)."""
        teacher, released = self.objective.teacher, self.config.objective.ema_update == "before_step"
        if teacher is not None and released:
            teacher.ema_update()
        super().optimizer_step(*arguments, **options)
        if teacher is not None and not released and self._has_gradients():
            teacher.ema_update()

    def _has_gradients(self) -> bool:
        """Whether the step was not skipped; a GPU skips by itself, and its teacher goes on towards the same student."""
        return any(parameter.grad is not None for parameter in self.network.parameters())

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by the norm. Lightning refuses fused optimizers in mixed precision, as if they were to unscale."""
        if gradient_clip_val:
            clip_grad_norm_(self.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Make AdamW and its schedule, which sets the learning rate at every step."""
        fused = self.device.type == "cuda" and self.trainer.precision != "16-mixed"
        optimizer = make_optimizer(self.network, self.config.optimizer, fused)
        schedule = LambdaLR(optimizer, lr_factor(self.config.optimizer, self.epoch_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: SceneBatch, device: torch.device, dataloader_idx: int) -> SceneBatch:
        """Move a batch without waiting for the device."""
        return batch.to(device, non_blocking=True)
