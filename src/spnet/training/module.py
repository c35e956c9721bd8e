"""One training step, as Lightning wants it."""

from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from spnet.model.network import SPNet
from spnet.structures import SceneBatch
from spnet.training.config import RunConfig
from spnet.training.objective import Objective
from spnet.training.optimiser import freeze, learning_rate_factor, make_optimiser


class TrainingModule(L.LightningModule):
    """Network and objective of a run.

    Args:
        config: the run.
        network: the student.
        identities: known identities of the data.
        epoch_steps: optimiser steps of an epoch.
    """

    def __init__(self, config: RunConfig, network: SPNet, identities: int, epoch_steps: int) -> None:
        super().__init__()
        self.config = config
        self.network = network
        self.objective = Objective(config.objective, network, identities)
        self.epoch_steps = epoch_steps
        if config.optimiser.freeze_trunk:
            freeze(network.trunk)

    def train(self, mode: bool = True) -> "TrainingModule":
        """As always, but a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self.config.optimiser.freeze_trunk:
            self.network.trunk.eval()
        return self

    def training_step(self, batch: SceneBatch, index: int) -> Tensor:
        """The sum of all losses; each is logged."""
        losses: dict[str, Tensor] = self.objective(self.network, batch)
        total = torch.stack(list(losses.values())).sum()
        logged = {f"loss/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(logged | {"loss/total": total.detach()}, batch_size=len(batch.images))
        self.log("loss", total.detach(), prog_bar=True, logger=False, batch_size=len(batch.images))
        return total

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """A step of the student, then one of the teacher."""
        super().optimizer_step(*arguments, **options)
        if self.objective.teacher is not None:
            self.objective.teacher.follow(self.network)

    def configure_optimizers(self) -> Any:
        """AdamW, its learning rate set anew at every step."""
        optimiser = make_optimiser(self.network, self.config.optimiser)
        schedule = LambdaLR(optimiser, learning_rate_factor(self.config.optimiser, self.epoch_steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def transfer_batch_to_device(self, batch: SceneBatch, device: torch.device, dataloader_idx: int) -> SceneBatch:
        """Batches move without waiting for the device."""
        return batch.to(device, non_blocking=True)
