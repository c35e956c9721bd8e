"""Learning without forgetting: the backbone keeps its ImageNet classifier (supplementary section 9.1)."""

from torch import Tensor
from torch.nn.functional import cross_entropy

TEMPERATURE = 2.0


def distillation_loss(student: Tensor, initial: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Cross-entropy between softened class distributions, batch mean.

    Args:
        student: (B, C) class logits of the backbone in training.
        initial: (B, C) class logits of the frozen backbone it started from.
    """
    return cross_entropy(student.float() / temperature, (initial.float() / temperature).softmax(1))
