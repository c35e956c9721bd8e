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
    order = _best_first(scores, group)
    row, counts = group[order].unique_consecutive(return_inverse=True, return_counts=True)[1:]
    rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[row]
    size = int(counts.max())
    table = boxes.new_zeros(len(counts), size, 4).index_put((row, rank), boxes[order])  # empty boxes overlap nothing
    parts = table.split(max(1, PAIRS_AT_ONCE // size**2))
    return order[torch.cat([_keep(part, iou_threshold) for part in parts])[row, rank]]


def exportable_nms(
    boxes: Tensor, scores: Tensor, group: Tensor, iou_threshold: float, groups: int, slots: int
) -> Tensor:
    """As `grouped_nms` for so many groups of at most `slots` boxes, in operations that torch.export can follow."""
    from torch._higher_order_ops.while_loop import while_loop  # which loads torch's compiler

    order = _best_first(scores, group)
    row = group[order]
    counts = torch.zeros(groups, dtype=torch.int64, device=group.device).index_add(0, group, torch.ones_like(group))
    rank = torch.arange(order.shape[0], device=order.device) - (counts.cumsum(0) - counts)[row]
    table = boxes.new_zeros(groups, slots, 4).index_put((row, rank), boxes[order])
    suppresses = _suppresses(table, iou_threshold)

    def settle(kept: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
        after = _unsuppressed(kept, suppresses)
        return after, (after != kept).sum() > 0  # of no groups ONNX's `any` would be true

    start = (torch.ones_like(table[..., 0], dtype=torch.bool), torch.ones((), dtype=torch.bool, device=boxes.device))
    kept, _ = while_loop(lambda kept, changed: changed.clone(), settle, start)
    return order[kept[row, rank]]


def _best_first(scores: Tensor, group: Tensor) -> Tensor:
    """Rows by group, the best of each first."""
    order = scores.argsort(descending=True, stable=True)
    return order[group[order].argsort(stable=True)]


def _keep(boxes: Tensor, iou_threshold: float) -> Tensor:
    """Which boxes (G, n, 4), best first, are kept: (G, n) bool.

    A box is kept if no better box that is kept suppresses it. Starting from all, each round of this rule settles one
    rank more at the least, and nearly always all of them after as many rounds as boxes suppress one another in a chain.
    """
    suppresses = _suppresses(boxes, iou_threshold)
    kept = boxes.new_ones(boxes.shape[:2], dtype=torch.bool)
    while True:
        before = kept
        kept = _unsuppressed(kept, suppresses)
        if torch.equal(kept, before):
            return kept


def _suppresses(boxes: Tensor, iou_threshold: float) -> Tensor:
    """(G, n, n) 1 where a box (row) suppresses one that is not as good (column), 0 elsewhere."""
    return (_overlaps(boxes).double() > iou_threshold).triu(1).to(boxes.dtype)


def _unsuppressed(kept: Tensor, suppresses: Tensor) -> Tensor:
    """Which boxes (G, n) no kept box (G, n) suppresses."""
    return (kept[:, None].to(suppresses.dtype) @ suppresses)[:, 0] == 0


def _overlaps(boxes: Tensor) -> Tensor:
    """IoU (G, n, n) of the boxes of each group, rounded as torchvision rounds it; NaN between empty boxes."""
    left, top, right, bottom = boxes.unbind(-1)
    area = (right - left) * (bottom - top)
    width = torch.minimum(right[:, :, None], right[:, None]) - torch.maximum(left[:, :, None], left[:, None])
    height = torch.minimum(bottom[:, :, None], bottom[:, None]) - torch.maximum(top[:, :, None], top[:, None])
    intersection = width.clamp_(min=0).mul_(height.clamp_(min=0))
    return intersection / (area[:, :, None] + area[:, None] - intersection)
