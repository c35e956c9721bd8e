"""From a batch of scenes to detections, along either path (SPEC section 4)."""

from dataclasses import replace

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from spnet.models.boxes import clip, decode
from spnet.models.cascade import embed_candidates, gather_candidates
from spnet.models.fpn import FeatureMaps
from spnet.models.logits import offset_norm
from spnet.models.matching import BACKGROUND
from spnet.models.pathways import SwapPathway, all_pairs, scene_groups
from spnet.models.spnet import SPNet
from spnet.types import Candidates, Detections, Groups


@torch.no_grad()
def detect_all(network: SPNet, features: FeatureMaps) -> Detections:
    """Object-centric: every person of every scene; column `query` is 0."""
    groups = scene_groups(len(features.sizes), features.sizes.device)
    return _detect(network, network.object_pathway(), features, groups, network.config.inference.object_pre_nms_topk)


@torch.no_grad()
def detect_queries(network: SPNet, features: FeatureMaps, queries: Tensor) -> Detections:
    """Query-centric: the persons of x_q (Q, D) in every scene; column `query` says whom."""
    groups = all_pairs(len(features.sizes), len(queries), features.sizes.device)
    return _detect(
        network, network.query_pathway(queries), features, groups, network.config.inference.query_pre_nms_topk
    )


def _detect(network: SPNet, pathway: SwapPathway, features: FeatureMaps, groups: Groups, count: int) -> Detections:
    candidates, scores = _best_anchors(network, pathway, features, groups, count)
    candidates, scores = _refine(network, 0, features, candidates, scores)
    for step in range(1, network.config.cascade_steps + 1):
        candidates = embed_candidates(network, pathway, step, features, candidates)
        scores = network.logits[step](offset_norm(candidates.offsets)).sigmoid()
        candidates, scores = _refine(network, step, features, candidates, scores)
    embeddings = network.embed(features, candidates.boxes, candidates.scene)
    return Detections(candidates.boxes, scores, candidates.scene, candidates.query, embeddings)


def _best_anchors(
    network: SPNet, pathway: SwapPathway, features: FeatureMaps, groups: Groups, count: int
) -> tuple[Candidates, Tensor]:
    """The anchors of highest logit in each group, above the threshold, and their scores."""
    config = network.config.inference
    anchors = network.anchor_table(features)
    logits = network.logits[0](pathway.distances(anchors, groups))
    kept = min(count, config.max_detections, anchors.count)
    highest, index = logits.topk(kept, dim=1)
    scores = highest.sigmoid()
    nothing = torch.full_like(logits, BACKGROUND, dtype=torch.int64)
    candidates = gather_candidates(pathway, anchors, groups, index, scores > config.score_threshold, nothing)
    return _select(candidates, candidates.valid), scores.flatten()[candidates.valid]


def _refine(
    network: SPNet, step: int, features: FeatureMaps, candidates: Candidates, scores: Tensor
) -> tuple[Candidates, Tensor]:
    """Decode, clip, and drop boxes that overlap a better one of their group, or of which nothing is in the image."""
    config = network.config.inference
    deltas = network.boxes[step](candidates.offsets)
    boxes = clip(decode(deltas, candidates.boxes), features.sizes[candidates.scene])
    # it moves each group to a place of its own: with thousands of pairs float32 would round the boxes there
    kept = batched_nms(boxes.double(), scores.double(), candidates.group, config.nms_iou)
    kept = kept[(boxes[kept, 2:] > boxes[kept, :2]).all(1)]
    kept = kept[candidates.group[kept].argsort(stable=True)]  # groups in order, best first within
    return replace(_select(candidates, kept), boxes=boxes[kept]), scores[kept]


def _select(candidates: Candidates, rows: Tensor) -> Candidates:
    return Candidates(**{name: column[rows] for name, column in vars(candidates).items()})
