"""Non-maximum suppression of many groups of boxes at once, equal to torchvision's `nms` in each of them.

torchvision's `batched_nms` loops over the groups where there are many boxes, or moves every group to a place of its
own, where float32 rounds the boxes. Here the groups are the rows of a padded table, so thousands of them take a few
tensor operations and no box is moved.
"""

import torch
from torch import Tensor

PAIRS_AT_ONCE = 2**21  # overlaps held at a time: 8 MB


def grouped_nms(boxes: Tensor, scores: Tensor, group: Tensor, iou_threshold: float) -> Tensor:
    """Rows of the boxes that overlap no better, kept box of their group by more than the threshold.

    Args:
        boxes: (M, 4) pixels xyxy.
        scores: (M,); of equal scores the first row is the better.
        group: (M,) int64, 0 or more; groups do not touch one another.
        iou_threshold: overlap from above which a box is dropped.

    Returns:
        (K,) int64 rows, groups in order, best first within each.
    """
    if len(boxes) == 0:
        return group.new_zeros(0)
    order = scores.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    row, counts = group[order].unique_consecutive(return_inverse=True, return_counts=True)[1:]
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[row]
    size = int(counts.max())
    table = boxes.new_zeros(len(counts), size, 4).index_put((row, rank), boxes[order])  # empty boxes overlap nothing
    parts = table.split(max(1, PAIRS_AT_ONCE // size**2))
    return order[torch.cat([_keep(part, iou_threshold) for part in parts])[row, rank]]


def _keep(boxes: Tensor, iou_threshold: float) -> Tensor:
    """Which boxes (G, n, 4), best first, are kept: (G, n) bool.

    A box is kept if no better box that is kept suppresses it. Starting from all, each round of this rule settles one
    rank more at the least, and nearly always all of them after as many rounds as boxes suppress one another in a chain.
    """
    suppresses = (_overlaps(boxes).double() > iou_threshold).triu(1).to(boxes.dtype)
    kept = boxes.new_ones(boxes.shape[:2], dtype=torch.bool)
    while True:
        before = kept
        kept = (kept[:, None].to(boxes.dtype) @ suppresses)[:, 0] == 0
        if torch.equal(kept, before):
            return kept


def _overlaps(boxes: Tensor) -> Tensor:
    """IoU (G, n, n) of the boxes of each group, rounded as torchvision rounds it; NaN between empty boxes."""
    left, top, right, bottom = boxes.unbind(-1)
    area = (right - left) * (bottom - top)
    width = torch.minimum(right[:, :, None], right[:, None]) - torch.maximum(left[:, :, None], left[:, None])
    height = torch.minimum(bottom[:, :, None], bottom[:, None]) - torch.maximum(top[:, :, None], top[:, None])
    intersection = width.clamp_(min=0).mul_(height.clamp_(min=0))
    return intersection / (area[:, :, None] + area[:, None] - intersection)
