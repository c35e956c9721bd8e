"""The types that cross rooms, and the shapes of everything in them.

Shape letters, used throughout the package:
    B scenes of a batch    N annotated boxes of a batch    A anchors of a scene    Q queries    P query-scene pairs
    M candidates           D location embedding dims       E re-id embedding dims

Boxes are always pixels xyxy. What belongs to a batch of scenes is a flat table with a column `scene` (row of the
batch), never a list of tensors, so that nothing needs a loop over scenes.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorDataclass:
    """Gives a dataclass of tensors `.to(device)` and `.pin_memory()`; Lightning and the loader use them."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same table with every tensor on `device`."""
        return self._each(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same table in page-locked memory, from which copies to a GPU need not wait."""
        return self._each(lambda value: value.pin_memory())

    def _each(self, change: Callable[["Tensor | TensorDataclass"], object]) -> Self:
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(value) for name, value in columns.items()})


@dataclass(frozen=True)
class Targets(TensorDataclass):
    """The annotated boxes of a batch, in the order of its scenes."""

    boxes: Tensor  # (N, 4) float32, pixels of the batch's images
    scene: Tensor  # (N,) int64, row of the batch
    person: Tensor  # (N,) int64, the same number for the same person in any view; known or not
    identity: Tensor  # (N,) int64, 0..K-1 for known persons (contiguous in a split), -1 for unknown ones


@dataclass(frozen=True)
class SceneBatch(TensorDataclass):
    """B images as the loader makes them: uint8, zero-padded on the right and bottom to one size."""

    images: Tensor  # (B, 3, H, W) uint8 RGB, H and W multiples of 32 (float32: already normalized)
    sizes: Tensor  # (B, 2) int64 height, width of the image inside the padding
    scene_ids: Tensor  # (B,) int64, ids of the annotation file
    scales: Tensor  # (B, 2) float32, pixels of this view per pixel of the file, x and y (meaningful without a crop)
    targets: Targets


@dataclass(frozen=True)
class Groups(TensorDataclass):
    """What is detected together: a scene (object-centric, G = B) or a query-scene pair (query-centric, G = P)."""

    scene: Tensor  # (G,) int64, row of the batch
    query: Tensor  # (G,) int64, row of the queries; 0 where there are none
    target: Tensor  # (G,) int64, row of the targets a background candidate is compared with; -1: none
    valid: Tensor  # (G,) bool, False for a slot that no pair filled


@dataclass(frozen=True)
class Candidates(TensorDataclass):
    """The flat table in which both paths end: what comes after never asks which path a candidate came from."""

    boxes: Tensor  # (M, 4) pixels: the anchor, or the box of the step before
    offsets: Tensor  # (M, D) x_o = x_q - x_a
    group: Tensor  # (M,) int64, row of the groups
    scene: Tensor  # (M,) int64, row of the batch
    query: Tensor  # (M,) int64, row of the queries
    target: Tensor  # (M,) int64, row of the targets it is compared with; -1: none
    positive: Tensor  # (M,) bool, foreground: the target is its own
    valid: Tensor  # (M,) bool, False for a slot that nothing filled


@dataclass(frozen=True)
class Detections(TensorDataclass):
    """What the network finds in a batch, best first within each group."""

    boxes: Tensor  # (M, 4) pixels of the batch's images
    scores: Tensor  # (M,) in 0..1
    scene: Tensor  # (M,) int64, row of the batch
    query: Tensor  # (M,) int64, row of the queries; 0 object-centric
    embeddings: Tensor  # (M, E) re-id, not normalized
