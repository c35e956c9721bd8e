"""Random samples of the training step: balanced anchors, query-scene pairs.

Fixed sizes and masks, so nothing waits for the GPU.
"""

import torch
from torch import Tensor

from spnet.models.matching import BACKGROUND
from spnet.types import Groups, Targets


def sample_balanced(matches: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Sample `count` anchors a scene at random, at most half of them positive (docs/method.md, "Training").

    Args:
        matches: (B, A) row of the target, BACKGROUND or IGNORED.

    Returns:
        indices (B, n) in ascending order and validity (B, n), n = min(count, A).
    """
    anchors = matches.shape[1]
    chance = torch.rand(matches.shape, device=matches.device)
    positive = _keep_highest(chance.masked_fill(matches < 0, -1), min(count // 2, anchors))
    order = (chance + positive.float()).masked_fill(~positive & (matches != BACKGROUND), -1)
    sampled, index = order.topk(min(count, anchors), dim=1)
    index, by_index = index.sort(dim=1)
    return index, (sampled >= 0).gather(1, by_index)


def _keep_highest(values: Tensor, count: int) -> Tensor:
    """Mask of the `count` highest values a row that are not negative."""
    highest, index = values.topk(count, dim=1)
    return torch.zeros_like(values, dtype=torch.bool).scatter(1, index, highest >= 0)


def sample_pairs(targets: Targets, scenes: int, count: int) -> Groups:
    """Sample up to `count` query-scene pairs by the paper's priorities (supplementary section 8, "Anchor Sampling").

    First queries whose person, but not whose own box, is in the scene; then those whose own box is; then those whose
    person is absent. A person who is twice in a scene is no query for it.
    """
    device = targets.scene.device
    own, target, usable = _presence(targets, scenes)
    present = target >= 0
    priority = torch.where(present & ~own, 4, torch.where(own, 2, 0))  # steps of 2: no rounding bridges them
    order = (priority + torch.rand(own.shape, device=device)).masked_fill(~usable, -1).flatten()
    sampled, index = order.topk(min(count, order.numel()))
    index, by_index = index.sort()
    scene, query = index // max(1, own.shape[1]), index % max(1, own.shape[1])
    return Groups(scene=scene, query=query, target=target.flatten()[index], valid=sampled[by_index] >= 0)


def _presence(targets: Targets, scenes: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each scene and query (B, N): is its box there, the row of its person's box (-1: absent), may it be paired."""
    rows = torch.arange(len(targets.scene), device=targets.scene.device)
    own = targets.scene == torch.arange(scenes, device=rows.device)[:, None]
    same_person = (targets.person[:, None] == targets.person).long()
    nothing = torch.zeros(own.shape, dtype=torch.int64, device=rows.device)
    times = nothing.index_add(0, targets.scene, same_person)
    target = nothing.index_add(0, targets.scene, same_person * rows[:, None])
    return own, torch.where(times == 1, target, -1), times <= 1


def count_duplicates(targets: Targets, scenes: int) -> Tensor:
    """How many boxes share their scene with another box of the same person: they are left out of its queries."""
    own, _, usable = _presence(targets, scenes)
    return (own & ~usable).sum()
