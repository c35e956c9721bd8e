"""Online instance matching: the re-id loss and memory of fine-tuning (SPEC section 3)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize


class OIM(nn.Module):
    """A table of known identities and a circular queue of unknown persons; every sample is classified among all of them.

    Args:
        identities: rows of the look-up table.
        dims: E.
        queue_size: places for unknown persons (5,000 for CUHK-SYSU, 500 for PRW).
        scalar: inverse temperature of the cosines.
        momentum: what a row keeps of itself in an update.
    """

    table: Tensor  # (K, E) unit rows; zero: empty
    queue: Tensor  # (L, E) unit rows; zero: empty
    position: Tensor  # () int64, where the queue is written next

    def __init__(self, identities: int, dims: int, queue_size: int, scalar: float = 30.0, momentum: float = 0.5) -> None:
        super().__init__()
        self.scalar = scalar
        self.momentum = momentum
        self.register_buffer("table", torch.zeros(identities, dims))
        self.register_buffer("queue", torch.zeros(queue_size, dims))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, identity: Tensor) -> Tensor:
        """The loss of samples (R, E) with identities (R,), -1 unknown; a mean over all samples, unknown ones counting as 0."""
        embeddings = normalize(embeddings.float())
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = embeddings @ torch.cat([self.table, self.queue]).T
        empty = torch.cat([self.table, self.queue]).abs().sum(1) == 0
        own = identity[:, None] == torch.arange(len(empty), device=identity.device)
        cosines = torch.where(empty, torch.where(own, 1.0, -1.0), cosines)
        losses = cross_entropy(cosines * self.scalar, identity.clamp(min=0), reduction="none")
        return torch.where(identity >= 0, losses, 0).sum() / max(1, len(identity))

    @torch.no_grad()
    def update(self, embeddings: Tensor, identity: Tensor) -> None:
        """Take in samples (R, E) in their order: known ones into their rows, unknown ones into the queue."""
        embeddings = normalize(embeddings.detach().float())
        self._update_table(embeddings, identity)
        self._update_queue(embeddings, identity)

    def _update_table(self, embeddings: Tensor, identity: Tensor) -> None:
        """Each round takes the next sample of every identity at once.

        A row is normalised after each of its samples, so its samples must follow one another; as many rounds as the
        most frequent identity has samples, whatever the number of samples and rows.
        """
        order = identity.argsort(stable=True)
        identity = identity[order]
        rank = torch.arange(len(order), device=order.device) - torch.searchsorted(identity, identity)
        rank = torch.where(identity >= 0, rank, -1)
        rounds = int(rank.max()) + 1 if len(rank) else 0
        # column r of the schedule: the r-th sample of each identity, or -1
        schedule = torch.full((len(self.table) + 1, rounds + 1), -1, device=order.device)
        schedule[identity, rank] = order
        for samples in schedule[:-1, :-1].unbind(1):
            mixed = self.momentum * self.table + (1 - self.momentum) * embeddings[samples]
            self.table.copy_(torch.where((samples >= 0)[:, None], normalize(mixed), self.table))

    def _update_queue(self, embeddings: Tensor, identity: Tensor) -> None:
        """Unknown persons at consecutive places; where there are more than places, the last ones stay."""
        unknown = identity < 0
        count = unknown.sum()
        rank = unknown.cumsum(0) - 1
        stays = unknown & (rank >= count - len(self.queue))
        place = torch.where(stays, (self.position + rank) % len(self.queue), len(self.queue))
        extended = torch.cat([self.queue, self.queue[:1]])  # the last row takes what does not stay
        self.queue.copy_(extended.index_copy(0, place, embeddings)[:-1])
        self.position.copy_((self.position + count) % len(self.queue))
