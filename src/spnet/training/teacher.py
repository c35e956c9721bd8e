"""The teacher: a slowly following copy of trunk, pyramid and re-id head that fills the person queue."""

import copy

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from spnet.model.network import SPNet
from spnet.model.trunk import normalise
from spnet.structures import SceneBatch


class Teacher(nn.Module):
    """Exponential moving average of the student (SPEC section 3); gives re-id embeddings, takes no gradient.

    Its BatchNorm uses batch statistics, like the student's; stochastic depth is off, so that its targets are steady.

    Args:
        student: the network it copies.
        momentum: what it keeps of itself in a step.
    """

    def __init__(self, student: SPNet, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.trunk = copy.deepcopy(student.trunk)
        self.pyramid = copy.deepcopy(student.pyramid)
        self.reid = copy.deepcopy(student.reid)
        self.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, DropPath):
                module.drop_prob = 0.0

    @torch.no_grad()
    def forward(self, batch: SceneBatch, runs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Re-id embeddings (R, E) of boxes and scenes, each run with its own batch statistics."""
        stages = self.trunk(normalise(batch.images, batch.sizes))
        pyramid = self.pyramid(stages, batch.sizes, (batch.images.shape[2], batch.images.shape[3]))
        return torch.cat([self.reid(pyramid, boxes, scene) for boxes, scene in runs])

    @torch.no_grad()
    def follow(self, student: SPNet) -> None:
        """One step towards the student's parameters."""
        for mine, theirs in ((self.trunk, student.trunk), (self.pyramid, student.pyramid), (self.reid, student.reid)):
            torch._foreach_lerp_(list(mine.parameters()), list(theirs.parameters()), 1 - self.momentum)
