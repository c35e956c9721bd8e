"""The person queue: the re-id loss and memory of pre-training, filled by a teacher (docs/method.md, "Training")."""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from spnet import distributed
from spnet.config.schema import ObjectiveConfig
from spnet.errors import UserError
from spnet.losses.reid import Regions, ReidLoss, TeacherEmbed, register, target_rows
from spnet.types import SceneBatch

EMPTY = -1


@register("contrastive")
class PersonContrastiveMemory(ReidLoss):
    """A ring of one teacher embedding a person; every student embedding is classified among all persons in it.

    Args:
        size: places (65,536 in the paper).
        dims: E.
        logit_scale: inverse temperature of the cosines.
    """

    needs_teacher: ClassVar[bool] = True

    embeddings: Tensor  # (L, E) unit rows
    persons: Tensor  # (L,) int64, EMPTY where nothing is
    position: Tensor  # () int64, where the ring is written next

    def __init__(self, size: int, dims: int, logit_scale: float = 10.0) -> None:
        super().__init__()
        self.logit_scale = logit_scale
        self.register_buffer("embeddings", torch.zeros(size, dims))
        self.register_buffer("persons", torch.full((size,), EMPTY))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @classmethod
    def from_config(cls, config: ObjectiveConfig, identities: int, dims: int) -> Self:
        return cls(config.queue_size, dims, config.logit_scale)

    def step(
        self,
        embeddings: Tensor,
        batch: SceneBatch,
        regions: Sequence[Regions],
        teacher: TeacherEmbed | None,
        repeats: int,
    ) -> Tensor:
        """The teacher's embeddings enter the queue first: every student embedding finds its own person there."""
        if teacher is None:
            raise RuntimeError("the person queue is filled by a teacher")
        person = batch.targets.person[target_rows(regions)]
        taught = teacher([part.places for part in regions])
        self.update(distributed.gather(taught), distributed.gather(person))
        loss: Tensor = self(embeddings, person)
        return loss

    @torch.no_grad()
    def update(self, embeddings: Tensor, person: Tensor) -> None:
        """Take in teacher embeddings (R, E) of persons (R,): a normalized mean each, ascending, at consecutive places.

        How many persons the rows are stays on the device: there is a slot for each row, and those that no person fills
        repeat the first one. Rows that are not finite do not count; the place of a person without any other is empty.

        Raises:
            UserError: more persons than places.
        """
        if len(person) == 0:
            return
        ascending, order = person.sort()
        rank = (ascending[1:] != ascending[:-1]).cumsum(0)
        rank = torch.cat([rank.new_zeros(1), rank])  # of each sorted row's person
        self._check_size(len(person), rank)
        row = torch.empty_like(rank).scatter_(0, order, rank)
        finite = embeddings.isfinite().all(1)
        sums = embeddings.new_zeros(embeddings.shape, dtype=torch.float32)
        sums = sums.index_add(0, row, torch.where(finite[:, None], embeddings.float(), 0))
        taught = torch.zeros_like(row).index_add(0, row, finite.long()) > 0
        persons = torch.where(taught, torch.empty_like(person).scatter_(0, rank, ascending), EMPTY)
        slot = torch.arange(len(person), device=person.device)
        slot = torch.where(slot <= rank[-1], slot, 0)
        places = (self.position + slot) % len(self.persons)
        nearest = torch.searchsorted(ascending, self.persons).clamp(max=len(person) - 1)
        self.persons.masked_fill_(ascending[nearest] == self.persons, EMPTY)
        self.persons.index_copy_(0, places, persons[slot])
        self.embeddings.index_copy_(0, places, normalize(sums)[slot])
        self.position.copy_((self.position + rank[-1] + 1) % len(self.persons))

    def _check_size(self, rows: int, rank: Tensor) -> None:
        # the number of persons is asked for only where they might be too many
        if rows > len(self.persons) and (persons := int(rank[-1]) + 1) > len(self.persons):
            raise UserError(
                f"objective.queue_size {len(self.persons)} is too small for a batch with {persons} persons; "
                f"choose at least {persons}"
            )

    def forward(self, embeddings: Tensor, person: Tensor) -> Tensor:
        """Mean cross-entropy of student embeddings (R, E) with persons (R,), 0 for a person who is not in the queue."""
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = normalize(embeddings.float()) @ self.embeddings.T
        lowest = torch.finfo(cosines.dtype).min  # not infinite: an empty queue gives no NaN
        logits = (cosines * self.logit_scale).masked_fill(self.persons == EMPTY, lowest)
        own = self.persons == person[:, None]
        losses = cross_entropy(logits, own.int().argmax(1), reduction="none")
        return torch.where(own.any(1), losses, 0).sum() / max(1, len(person))
