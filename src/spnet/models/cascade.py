"""From candidates to boxes, step by step; shared by both paths, in training and at test time."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spnet.models.boxes import clip, decode, overlaps
from spnet.models.fpn import FeatureMaps
from spnet.models.heads import AnchorTable
from spnet.models.logits import offset_norm
from spnet.models.matching import BACKGROUND
from spnet.models.pathways import SwapPathway
from spnet.models.spnet import SPNet
from spnet.types import Candidates, Groups, Targets


@dataclass(frozen=True)
class CascadeStage:
    """What one step makes of its candidates."""

    candidates: Candidates
    logits: Tensor | None  # (M,) None at step 0, whose classes are the anchors'
    decoded: Tensor  # (M, 4) boxes, not clipped, with gradient


def gather_candidates(
    pathway: SwapPathway,
    anchors: AnchorTable,
    groups: Groups,
    index: Tensor,
    valid: Tensor,
    matches: Tensor | None = None,
) -> Candidates:
    """Anchors `index` (G, n) of every group as one flat table.

    `matches` (G, A) says which target each belongs to; without it, at test time, all are background.
    """
    group = torch.arange(groups.scene.shape[0], device=index.device)[:, None].expand_as(index).flatten()
    anchor, scene, query = index.flatten(), groups.scene[group], groups.query[group]
    match = torch.full_like(anchor, BACKGROUND) if matches is None else matches[group, anchor]
    return Candidates(
        boxes=anchors.boxes[anchor],
        offsets=pathway.offsets(0, anchors.embeddings[scene, anchor], query),
        group=group,
        scene=scene,
        query=query,
        target=torch.where(match >= 0, match, groups.target[group]),
        positive=match >= 0,
        valid=(valid & groups.valid[:, None]).flatten(),
    )


def train_steps(
    network: SPNet,
    pathway: SwapPathway,
    features: FeatureMaps,
    candidates: Candidates,
    groups: Groups,
    targets: Targets,
) -> list[CascadeStage]:
    """Step 0 on the anchors, then every cascade step on the boxes of the step before."""
    network.observe_candidates(candidates.offsets, candidates.valid)
    steps = [CascadeStage(candidates, None, decode(network.boxes[0](candidates.offsets), candidates.boxes))]
    for number in range(1, network.config.cascade_steps + 1):
        boxes = clip(steps[-1].decoded.detach(), features.sizes[candidates.scene])
        candidates = rematch(pathway, replace(candidates, boxes=boxes), groups, targets)
        embeddings = network.location_embed(number, features, candidates.boxes, candidates.scene)
        candidates = replace(candidates, offsets=pathway.offsets(number, embeddings, candidates.query))
        logits = network.logits[number](offset_norm(candidates.offsets))
        steps.append(
            CascadeStage(candidates, logits, decode(network.boxes[number](candidates.offsets), candidates.boxes))
        )
    return steps


def rematch(pathway: SwapPathway, candidates: Candidates, groups: Groups, targets: Targets) -> Candidates:
    """Match boxes anew before a cascade step: IoU >= 0.5 is foreground, the rest background.

    Object-centric, the annotated boxes join each time.
    """
    if pathway.append_gt:
        candidates = _join_targets(candidates, targets)
    if len(targets.boxes) == 0:
        return replace(candidates, positive=torch.zeros_like(candidates.positive))
    iou = overlaps(candidates.boxes[:, None], targets.boxes)
    best, row = iou.masked_fill(~pathway.match_mask(candidates.scene, candidates.group, targets, groups), -1).max(1)
    positive = best >= 0.5
    return replace(candidates, positive=positive, target=torch.where(positive, row, groups.target[candidates.group]))


def _join_targets(candidates: Candidates, targets: Targets) -> Candidates:
    """Append the annotated boxes, scene by scene (a scene is its own group object-centric)."""
    rows = torch.arange(len(targets.scene), device=targets.scene.device)
    order = torch.cat([candidates.scene, targets.scene]).argsort(stable=True)
    ones = torch.ones_like(rows, dtype=torch.bool)
    added = Candidates(
        boxes=targets.boxes,
        offsets=candidates.offsets.new_zeros(len(rows), candidates.offsets.shape[1]),
        group=targets.scene,
        scene=targets.scene,
        query=torch.zeros_like(rows),
        target=rows,
        positive=ones,
        valid=ones,
    )
    return Candidates(
        **{name: torch.cat([getattr(candidates, name), getattr(added, name)])[order] for name in vars(added)}
    )
