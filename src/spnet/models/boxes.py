"""Boxes: the standard coder, clipping, and overlap tables; all pixels xyxy."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

MAX_LOG_SCALE = math.log(1000 / 16)  # torchvision's bound: an anchor grows at most 62.5 times


class BoxHead(nn.Module):
    """Box deltas from an offset embedding: 4 x (Linear, ReLU), Linear to 4 (docs/method.md, "Network")."""

    def __init__(self, dims: int, init: Literal["he", "torch"] = "he") -> None:
        super().__init__()
        layers = [nn.Linear(dims, dims) for _ in range(4)]
        self.mlp = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        self.deltas = nn.Linear(dims, 4)
        if init == "torch":
            return
        for layer in layers:  # torch's default halves the signal in each of four layers
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.deltas.weight, std=0.01)  # boxes start as their anchors
        nn.init.zeros_(self.deltas.bias)

    def forward(self, offsets: Tensor) -> Tensor:
        """(M, D) -> (M, 4) dx, dy, dw, dh in units of the anchor (box coder weights 1, 1, 1, 1)."""
        deltas: Tensor = self.deltas(self.mlp(offsets))
        return deltas.float()


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Apply deltas to anchors: (M, 4), (M, 4) -> boxes (M, 4)."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + 0.5 * sizes + deltas[:, :2] * sizes
    half = 0.5 * sizes * deltas[:, 2:].clamp(max=MAX_LOG_SCALE).exp()
    return torch.cat([centres - half, centres + half], dim=1)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Cut boxes (M, 4) at their own image, `sizes` (M, 2) height, width."""
    limits = sizes.flip(1).repeat(1, 2).to(boxes.dtype)
    return boxes.clamp(min=0).minimum(limits)


def overlaps(first: Tensor, second: Tensor, generalized: bool = False) -> Tensor:
    """IoU, or generalized IoU, of boxes that broadcast: (..., 4), (..., 4) -> (...); empty boxes overlap nothing."""
    top_left = torch.maximum(first[..., :2], second[..., :2])
    bottom_right = torch.minimum(first[..., 2:], second[..., 2:])
    intersection = _area((bottom_right - top_left).clamp(min=0))
    union = _area(first[..., 2:] - first[..., :2]) + _area(second[..., 2:] - second[..., :2]) - intersection
    iou = intersection / union.clamp(min=1e-9)
    if not generalized:
        return iou
    sides = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    hull = _area(sides.clamp(min=0))
    return iou - (hull - union) / hull.clamp(min=1e-9)


def _area(sides: Tensor) -> Tensor:
    return sides[..., 0] * sides[..., 1]
