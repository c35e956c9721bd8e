"""What a re-id loss is, and the registry of those there are (docs/method.md, "Training").

A new loss is a module that registers a subclass of `ReidLoss`, and a line in `spnet.losses` that imports it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from spnet.config.schema import ObjectiveConfig
from spnet.errors import UserError
from spnet.types import SceneBatch

Places = tuple[Tensor, Tensor]  # boxes (R, 4) and their scenes (R,)
TeacherEmbed = Callable[[Sequence[Places]], Tensor]


@dataclass(frozen=True)
class Regions:
    """Boxes whose re-id embeddings are trained together: one run of the head, with its own batch statistics."""

    boxes: Tensor  # (R, 4)
    scene: Tensor  # (R,)
    target: Tensor  # (R,) row of the targets

    @property
    def places(self) -> Places:
        """What the head needs: boxes and scenes."""
        return self.boxes, self.scene


class ReidLoss(nn.Module, ABC):
    """A re-id loss together with what it remembers between steps; its buffers are saved with a checkpoint."""

    needs_teacher: ClassVar[bool] = False  # a moving average of the network is kept, and given to `step`

    @classmethod
    @abstractmethod
    def from_config(cls, config: ObjectiveConfig, identities: int, dims: int) -> Self:
        """A new loss.

        Args:
            config: sizes, temperature and momentum.
            identities: known identities of the data.
            dims: E.
        """

    @abstractmethod
    def step(
        self,
        embeddings: Tensor,
        batch: SceneBatch,
        regions: Sequence[Regions],
        teacher: TeacherEmbed | None,
        repeats: int,
    ) -> Tensor:
        """The loss of a training step, and the update of the memory, in the order the method demands.

        Args:
            embeddings: (R, E) of all regions, in their order, with gradient.
            batch: what they were embedded from.
            regions: which boxes they are.
            teacher: gives its own embeddings (R, E) of the batch's boxes; None unless `needs_teacher`.
            repeats: the most regions that any known identity has; a loop over them need not wait for the device.
        """


Loss = TypeVar("Loss", bound=ReidLoss)
_REGISTRY: dict[str, type[ReidLoss]] = {}


def register(name: str) -> Callable[[type[Loss]], type[Loss]]:
    """Make a class known as `objective.reid_loss: NAME`."""

    def add(kind: type[Loss]) -> type[Loss]:
        _REGISTRY[name] = kind
        return kind

    return add


def build_reid_loss(name: str, config: ObjectiveConfig, identities: int, dims: int) -> ReidLoss:
    """The registered loss of that name. Raises UserError for an unknown name, with the choices."""
    if name not in _REGISTRY:
        raise UserError(f"objective.reid_loss {name!r} is unknown; choose {', '.join(sorted(_REGISTRY))}")
    return _REGISTRY[name].from_config(config, identities, dims)


def target_rows(regions: Sequence[Regions]) -> Tensor:
    """(R,) the row of the batch's targets that each region belongs to."""
    return torch.cat([part.target for part in regions])


def count_before(label: Tensor) -> Tensor:
    """(R,) how many of the entries before each one of label (R,) are the same."""
    ascending, order = label.sort(stable=True)
    rank = torch.arange(len(label), device=label.device) - torch.searchsorted(ascending, ascending)
    return torch.empty_like(rank).scatter_(0, order, rank)
