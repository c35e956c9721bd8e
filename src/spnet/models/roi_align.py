"""RoIAlign, and the same average as two small matrix products for training on a CPU.

torchvision's CPU kernel scatters its gradient cell by cell on one thread, which took a third of a training step. The
average over a grid of bilinear samples is separable: rows and columns have their own weights.
"""

import torch
from torch import Tensor
from torchvision.ops import roi_align

SAMPLES = 2  # a side of each bin (docs/method.md, "Network")


def align_regions(features: Tensor, boxes: Tensor, scene: Tensor, scale: float, size: int) -> Tensor:
    """Average features of boxes, not pixel-aligned, with 2 x 2 bilinear samples a bin.

    Args:
        features: (B, C, H, W).
        boxes: (R, 4) pixels xyxy; they get no gradient.
        scene: (R,) int64, row of the features.
        scale: cells per pixel.
        size: bins a side.

    Returns:
        (R, C, size, size) float32.
    """
    boxes = boxes.detach().float()
    if features.device.type == "cpu" and torch.is_grad_enabled() and features.requires_grad:
        return _align_by_products(features.float(), boxes * scale, scene, size)
    rows = torch.cat([scene[:, None].float(), boxes], dim=1)
    with torch.autocast(features.device.type, enabled=False):
        aligned: Tensor = roi_align(
            features.float(), rows, size, spatial_scale=scale, sampling_ratio=SAMPLES, aligned=False
        )
    return aligned


def _align_by_products(features: Tensor, boxes: Tensor, scene: Tensor, size: int) -> Tensor:
    batch, channels, height, width = features.shape
    slot, slots = _slots(scene, batch)
    with torch.autocast("cpu", enabled=False):
        # the boxes of a scene share one product, so that no box needs a copy of its scene's features
        by_row = features.permute(0, 2, 1, 3).reshape(batch, height, channels * width)
        own = _axis_weights(boxes[:, 1], boxes[:, 3], height, size)
        weights = features.new_zeros(batch * slots, size, height).index_copy(0, slot, own)
        rows = (weights.view(batch, slots * size, height) @ by_row).view(batch * slots, size * channels, width)
        columns = _axis_weights(boxes[:, 0], boxes[:, 2], width, size).transpose(1, 2)
        cells = rows.index_select(0, slot) @ columns
    return cells.view(len(boxes), size, channels, size).transpose(1, 2).contiguous()


def _slots(scene: Tensor, batch: int) -> tuple[Tensor, int]:
    """Give each box (R,) a place in a table of `batch` scenes with as many slots as the fullest needs."""
    ordered, order = scene.sort(stable=True)
    rank = torch.arange(len(scene)) - torch.searchsorted(ordered, ordered)
    slots = int(torch.bincount(scene, minlength=1).max())
    return torch.empty_like(scene).scatter_(0, order, ordered * slots + rank), slots


def _axis_weights(start: Tensor, end: Tensor, cells: int, size: int) -> Tensor:
    """What each cell of one axis contributes to each bin: (R,), (R,) -> (R, size, cells)."""
    samples = size * SAMPLES
    steps = (torch.arange(samples) + 0.5) / samples
    at = start[:, None] + (end - start).clamp(min=1)[:, None] * steps
    inside = (at >= -1) & (at <= cells)
    distance = at.clamp(0, cells - 1)[..., None] - torch.arange(cells)
    weights = (1 - distance.abs()).clamp(min=0) * inside[..., None]
    return weights.view(len(start), size, SAMPLES, cells).mean(2)
