"""One training step, as Lightning wants it."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from spnet.config.schema import RunConfig
from spnet.errors import UserError
from spnet.models.checkpoints import diff_state_dict
from spnet.models.spnet import SPNet
from spnet.training.objective import SPNetLoss
from spnet.training.optimizer import freeze, lr_factor, make_optimizer
from spnet.types import SceneBatch


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
        self._random_states: list[Tensor | None] = []
        if config.optimizer.freeze_backbone:
            freeze(network.backbone)

    def train(self, mode: bool = True) -> "TrainingModule":
        """As always, but a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.config.optimizer.freeze_backbone and self.config.objective.frozen_mode == "eval":
            self.network.backbone.eval()
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The random state too: candidates and pairs are drawn in the step."""
        checkpoint["random_state"] = torch.random.get_rng_state()
        if torch.cuda.is_available():
            checkpoint["random_state_cuda"] = torch.cuda.get_rng_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the random state until training starts, which draws numbers on the way.

        Raises:
            UserError: a checkpoint of other data or another configuration.
        """
        if problems := diff_state_dict(self.state_dict(), checkpoint["state_dict"]):
            raise UserError(f"the checkpoint is not of this configuration and data: {problems}")
        self._random_states = [checkpoint.get("random_state"), checkpoint.get("random_state_cuda")]

    def on_train_batch_start(self, batch: SceneBatch, index: int) -> None:
        """A resumed run draws what it would have drawn."""
        if not self._random_states:
            return
        processor, device = self._random_states
        self._random_states = []
        if processor is not None:
            torch.random.set_rng_state(processor.cpu())
        if device is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(device.cpu())

    def training_step(self, batch: SceneBatch, index: int) -> Tensor:
        """The sum of all losses; each is logged."""
        losses: dict[str, Tensor] = self.objective(self.network, batch)
        total = torch.stack(list(losses.values())).sum()
        logged = {f"loss/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(logged | {"loss/total": total.detach()}, batch_size=len(batch.images))
        self.log("loss", total.detach(), prog_bar=True, logger=False, batch_size=len(batch.images))
        return total

    def on_train_epoch_end(self) -> None:
        """Say once what query-centric training had to leave out; asked here, the device need not wait in a step."""
        if not self.warned and (boxes := int(self.objective.repeated)):
            self.warned = True
            rank_zero_warn(
                f"{boxes} boxes of this epoch share a scene with another box of the same person: they were left out of "
                "its queries"
            )

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """A step of the student, then one of the teacher (as released: the other way round)."""
        teacher, released = self.objective.teacher, self.config.objective.ema_update == "before_step"
        if teacher is not None and released:
            teacher.ema_update(self.network)
        super().optimizer_step(*arguments, **options)
        if teacher is not None and not released:
            teacher.ema_update(self.network)

    def configure_optimizers(self) -> Any:
        """AdamW, its learning rate set anew at every step."""
        optimizer = make_optimizer(self.network, self.config.optimizer)
        schedule = LambdaLR(optimizer, lr_factor(self.config.optimizer, self.epoch_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: SceneBatch, device: torch.device, dataloader_idx: int) -> SceneBatch:
        """Batches move without waiting for the device."""
        return batch.to(device, non_blocking=True)
