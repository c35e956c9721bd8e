"""Learning without forgetting: the backbone keeps its ImageNet classifier (supplementary section 9.1)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, cross_entropy

TEMPERATURE = 2.0


def distillation_loss(
    student: Tensor,
    initial: Tensor,
    form: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy",
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Cross-entropy between softened class distributions: batch mean, or binary and the mean over batch and classes.

    Args:
        student: (B, C) class logits of the backbone in training.
        initial: (B, C) class logits of the frozen backbone it started from.
        form: the second is the released one; it counts every class, and is smaller by about their number.
        temperature: what logits are divided by.
    """
    softened = student.float() / temperature
    target = (initial.float() / temperature).softmax(1)
    if form == "cross_entropy":
        return cross_entropy(softened, target)
    with torch.autocast(student.device.type, enabled=False):  # which refuses a binary cross-entropy of probabilities
        return binary_cross_entropy(softened.softmax(1), target)
