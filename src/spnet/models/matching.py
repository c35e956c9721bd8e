"""Which anchors and boxes belong to which annotated box (docs/method.md, "Training"); no loop over scenes."""

import torch
from torch import Tensor

from spnet.models.boxes import overlaps
from spnet.types import Groups, Targets

BACKGROUND = -1
IGNORED = -2


def match_scenes(anchors: Tensor, targets: Targets, scenes: int) -> Tensor:
    """Anchors (A, 4) against all boxes of each scene -> (B, A) row of the matched target, BACKGROUND or IGNORED.

    IoU >= 0.5 foreground, < 0.4 background, ignored between; each box keeps its best anchors.
    """
    iou = overlaps(targets.boxes[:, None], anchors)  # (N, A)
    scene = targets.scene[:, None].expand_as(iou)
    best = iou.new_zeros(scenes, len(anchors)).scatter_reduce(0, scene, iou, "amax")
    rows = torch.arange(len(iou), device=iou.device)[:, None].expand_as(iou)
    owner = torch.where(iou == best[targets.scene], rows, len(iou))
    owner = torch.full_like(best, len(iou), dtype=torch.int64).scatter_reduce(0, scene, owner, "amin")
    keeps = torch.zeros_like(owner).scatter_reduce(0, scene, _is_best_anchor(iou).long(), "amax").bool()
    return _threshold(best, owner, keeps)


def match_pairs(anchors: Tensor, targets: Targets, groups: Groups) -> Tensor:
    """Anchors (A, 4) against the one box of each pair -> (P, A) its row, BACKGROUND or IGNORED.

    Pairs without a box are all BACKGROUND.
    """
    if len(targets.boxes) == 0:
        return torch.full((len(groups.scene), len(anchors)), BACKGROUND, device=anchors.device)
    iou = overlaps(targets.boxes[groups.target.clamp(min=0)][:, None], anchors)
    owner = groups.target[:, None].expand_as(iou)
    return torch.where(owner < 0, BACKGROUND, _threshold(iou, owner, _is_best_anchor(iou)))


def _is_best_anchor(iou: Tensor) -> Tensor:
    return (iou == iou.amax(1, keepdim=True)) & (iou > 0)


def _threshold(iou: Tensor, owner: Tensor, keeps: Tensor) -> Tensor:
    labels = torch.where(iou < 0.4, BACKGROUND, torch.where(iou < 0.5, IGNORED, owner))
    return torch.where(keeps, owner, labels)
