"""The teacher: a slowly following copy of backbone, pyramid and re-id head that fills the person queue."""

import copy
from collections.abc import Sequence

import torch
from timm.layers.drop import DropPath
from torch import Tensor, nn

from spnet.losses.reid import Places
from spnet.models.fpn import FeatureMaps
from spnet.models.spnet import SPNet
from spnet.types import SceneBatch


class Teacher(nn.Module):
    """Keep an exponential moving average of the student (docs/method.md, "Training"), which gives re-id embeddings.

    It takes no gradient. Its BatchNorm uses batch statistics, like the student's; stochastic depth is off, so that its
    targets are steady, unless `drop_path` keeps it.

    Args:
        student: the network it copies, and follows.
        decay: what it keeps of itself in a step.
        drop_path: keep the student's stochastic depth.
    """

    def __init__(self, student: SPNet, decay: float, drop_path: bool = False) -> None:
        super().__init__()
        self.decay = decay
        self.backbone = copy.deepcopy(student.backbone)
        self.fpn = copy.deepcopy(student.fpn)
        self.reid = copy.deepcopy(student.reid)
        self.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, DropPath) and not drop_path:
                module.drop_prob = 0.0
        parts = ((self.backbone, student.backbone), (self.fpn, student.fpn), (self.reid, student.reid))
        # lists, not modules: the student is not part of its teacher, and to collect them takes milliseconds
        self._parameters_here: list[Tensor] = [parameter for mine, _ in parts for parameter in mine.parameters()]
        self._parameters_there: list[Tensor] = [parameter for _, theirs in parts for parameter in theirs.parameters()]

    @torch.no_grad()
    def features(self, batch: SceneBatch) -> FeatureMaps:
        """The finest level, P3, of a batch; the head looks at no other."""
        stages = self.backbone(self.backbone.normalize(batch.images, batch.sizes))
        return self.fpn.finest(stages, batch.sizes, (batch.images.shape[2], batch.images.shape[3]))

    @torch.no_grad()
    def embed(self, features: FeatureMaps, runs: Sequence[Places]) -> Tensor:
        """Re-id embeddings (R, E) of boxes and scenes, each run with its own batch statistics."""
        return torch.cat([self.reid(features, boxes, scene) for boxes, scene in runs])

    @torch.no_grad()
    def ema_update(self) -> None:
        """One step towards the student's parameters."""
        torch._foreach_lerp_(self._parameters_here, self._parameters_there, 1 - self.decay)


def teacher_network(teacher: Teacher, student: SPNet) -> SPNet:
    """A copy of the student with the teacher's backbone, pyramid and re-id head, to be saved and evaluated."""
    network = copy.deepcopy(student)
    network.backbone.load_state_dict(teacher.backbone.state_dict())
    network.fpn.load_state_dict(teacher.fpn.state_dict())
    network.reid.load_state_dict(teacher.reid.state_dict())
    return network
