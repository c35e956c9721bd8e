"""Online instance matching: the re-id loss and memory of fine-tuning (docs/method.md, "Training")."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from spnet import distributed
from spnet.config.schema import ObjectiveConfig
from spnet.losses.reid import Regions, ReidLoss, TeacherEmbed, count_before, register, target_rows
from spnet.types import SceneBatch

UNKNOWN, LEFT_OUT = -1, -2  # identities that no person has


@register("oim")
class OIM(ReidLoss):
    """A table of known identities and a circular queue of unknown persons; samples are classified among all of them.

    Args:
        identities: rows of the look-up table.
        dims: E.
        queue_size: places for unknown persons (5,000 for CUHK-SYSU, 500 for PRW).
        logit_scale: inverse temperature of the cosines.
        momentum: what a row keeps of itself in an update.
    """

    table: Tensor  # (K, E) unit rows; zero: empty
    queue: Tensor  # (L, E) unit rows; zero: empty
    position: Tensor  # () int64, where the queue is written next

    def __init__(
        self, identities: int, dims: int, queue_size: int, logit_scale: float = 30.0, momentum: float = 0.5
    ) -> None:
        super().__init__()
        self.logit_scale = logit_scale
        self.momentum = momentum
        self.register_buffer("table", torch.zeros(identities, dims))
        self.register_buffer("queue", torch.zeros(queue_size, dims))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @classmethod
    def from_config(cls, config: ObjectiveConfig, identities: int, dims: int) -> Self:
        return cls(identities, dims, config.queue_size, config.logit_scale, config.oim_momentum)

    def step(
        self,
        embeddings: Tensor,
        batch: SceneBatch,
        regions: Sequence[Regions],
        teacher: TeacherEmbed | None,
        repeats: int,
    ) -> Tensor:
        """The loss against what was remembered before this step, then the update."""
        identity = batch.targets.identity[target_rows(regions)]
        loss: Tensor = self(embeddings, identity)
        self.update(distributed.gather(embeddings), distributed.gather(identity), repeats)
        return loss

    def forward(self, embeddings: Tensor, identity: Tensor) -> Tensor:
        """The loss of samples (R, E) with identities (R,), -1 unknown: mean over all samples, 0 for unknown ones."""
        embeddings = normalize(embeddings.float())
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = embeddings @ torch.cat([self.table, self.queue]).T
        empty = torch.cat([self.table, self.queue]).abs().sum(1) == 0
        own = identity[:, None] == torch.arange(len(empty), device=identity.device)
        cosines = torch.where(empty, torch.where(own, 1.0, -1.0), cosines)
        losses = cross_entropy(cosines * self.logit_scale, identity.clamp(min=0), reduction="none")
        return torch.where(identity >= 0, losses, 0).sum() / max(1, len(identity))

    @torch.no_grad()
    def update(self, embeddings: Tensor, identity: Tensor, repeats: int | None = None) -> None:
        """Take in samples (R, E) in their order: known ones into their rows, unknown ones into the queue.

        Samples that are not finite are left out: one of them would spoil its row for the rest of a run.

        Args:
            embeddings: (R, E), of any length.
            identity: (R,) int64.
            repeats: how many samples any known identity has at most; not given, the device is asked.
        """
        if len(identity) == 0:
            return
        embeddings = normalize(embeddings.detach().float())
        identity = torch.where(embeddings.isfinite().all(1), identity, LEFT_OUT)
        turn = count_before(identity)
        rounds = int(turn.max()) + 1 if repeats is None else repeats
        self._update_table(embeddings, identity, turn, rounds)
        self._update_queue(embeddings, identity)

    def _update_table(self, embeddings: Tensor, identity: Tensor, turn: Tensor, rounds: int) -> None:
        """Each round takes the next sample of every identity at once.

        A row is normalized after each of its samples, so its samples must follow one another.
        """
        spare = len(self.table)  # a row for the samples whose turn it is not
        table = torch.cat([self.table, self.queue.new_zeros(1, embeddings.shape[1])])
        for number in range(rounds):
            row = torch.where((turn == number) & (identity >= 0), identity, spare)
            mixed = self.momentum * table[row] + (1 - self.momentum) * embeddings
            table.index_copy_(0, row, normalize(mixed))
        self.table.copy_(table[:spare])

    def _update_queue(self, embeddings: Tensor, identity: Tensor) -> None:
        """Unknown persons at consecutive places; where there are more than places, the last ones stay."""
        if len(self.queue) == 0:
            return
        unknown = identity == UNKNOWN
        count = unknown.sum()
        rank = unknown.cumsum(0) - 1
        stays = unknown & (rank >= count - len(self.queue))
        place = torch.where(stays, (self.position + rank) % len(self.queue), len(self.queue))
        extended = torch.cat([self.queue, self.queue[:1]])  # the last row takes what does not stay
        self.queue.copy_(extended.index_copy(0, place, embeddings)[:-1])
        self.position.copy_((self.position + count) % len(self.queue))
