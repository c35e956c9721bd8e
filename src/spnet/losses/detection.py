"""Losses of detection (docs/method.md, "Training"): focal, cross-entropy of a cascade step, generalized IoU."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import sigmoid_focal_loss

from spnet.models.boxes import overlaps


def anchor_focal_loss(
    logits: Tensor, positive: Tensor, counted: Tensor, alpha: float = 0.5, gamma: float = 1.0
) -> Tensor:
    """Sigmoid focal loss of all anchors that are not ignored.

    Args:
        logits: (G, A) z of every anchor in every group.
        positive: (G, A) bool, foreground.
        counted: (G, A) bool, False for ignored anchors and empty groups.

    Returns:
        the sum over counted anchors / max(1, number of positives).
    """
    losses: Tensor = sigmoid_focal_loss(logits, positive.to(logits.dtype), alpha=alpha, gamma=gamma)
    return (losses * counted).sum() / _count(positive & counted)


def cascade_bce_loss(logits: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy of a cascade step's candidates (M,): sum over valid ones / max(1, number of positives)."""
    losses = binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
    return (losses * valid).sum() / _count(positive & valid)


def giou_loss(decoded: Tensor, targets: Tensor, positive: Tensor) -> Tensor:
    """Generalized IoU loss of decoded boxes (M, 4) to their targets (M, 4), mean over positives (M,); 0 without any.

    torchvision's `generalized_box_iou_loss` indexes by masks, for which a step would wait for the device ten times.
    """
    losses = 1 - overlaps(decoded.float(), targets.float(), generalized=True)
    return torch.where(positive, losses, 0).sum() / _count(positive)


def _count(mask: Tensor) -> Tensor:
    return mask.sum().clamp(min=1)
