"""From a batch of scenes to detections, along either path (SPEC section 4)."""

from dataclasses import replace

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from spnet.model.boxes import clip, decode
from spnet.model.cascade import embed_candidates, gather_candidates
from spnet.model.logits import offset_norm
from spnet.model.matching import BACKGROUND
from spnet.model.network import SPNet
from spnet.model.paths import SwapPath, all_pairs, scene_groups
from spnet.model.trunk import Pyramid
from spnet.structures import Candidates, Detections, Groups


@torch.no_grad()
def find_everyone(network: SPNet, pyramid: Pyramid) -> Detections:
    """Object-centric: every person of every scene; column `query` is 0."""
    groups = scene_groups(len(pyramid.sizes), pyramid.sizes.device)
    return _detect(network, network.object_path(), pyramid, groups, network.config.inference.object_anchors)


@torch.no_grad()
def find_queries(network: SPNet, pyramid: Pyramid, queries: Tensor) -> Detections:
    """Query-centric: the persons of x_q (Q, D) in every scene; column `query` says whom."""
    groups = all_pairs(len(pyramid.sizes), len(queries), pyramid.sizes.device)
    return _detect(network, network.query_path(queries), pyramid, groups, network.config.inference.query_anchors)


def _detect(network: SPNet, path: SwapPath, pyramid: Pyramid, groups: Groups, count: int) -> Detections:
    candidates, scores = _best_anchors(network, path, pyramid, groups, count)
    candidates, scores = _refine(network, 0, pyramid, candidates, scores)
    for step in range(1, network.config.cascade_steps + 1):
        candidates = embed_candidates(network, path, step, pyramid, candidates)
        scores = network.logits[step](offset_norm(candidates.offsets)).sigmoid()
        candidates, scores = _refine(network, step, pyramid, candidates, scores)
    embeddings = network.embed(pyramid, candidates.boxes, candidates.scene)
    return Detections(candidates.boxes, scores, candidates.scene, candidates.query, embeddings)


def _best_anchors(
    network: SPNet, path: SwapPath, pyramid: Pyramid, groups: Groups, count: int
) -> tuple[Candidates, Tensor]:
    """The anchors of highest logit in each group, above the threshold, and their scores."""
    config = network.config.inference
    anchors = network.anchor_table(pyramid)
    logits = network.logits[0](path.distances(anchors, groups))
    kept = min(count, config.max_detections, anchors.count)
    highest, index = logits.topk(kept, dim=1)
    scores = highest.sigmoid()
    nothing = torch.full_like(logits, BACKGROUND, dtype=torch.int64)
    candidates = gather_candidates(path, anchors, groups, index, scores > config.score_threshold, nothing)
    return _select(candidates, candidates.valid), scores.flatten()[candidates.valid]


def _refine(
    network: SPNet, step: int, pyramid: Pyramid, candidates: Candidates, scores: Tensor
) -> tuple[Candidates, Tensor]:
    """Decode, clip, and drop boxes that overlap a better one of their group, or of which nothing is in the picture."""
    config = network.config.inference
    deltas = network.boxes[step](candidates.offsets)
    boxes = clip(decode(deltas, candidates.boxes), pyramid.sizes[candidates.scene])
    # it moves each group to a place of its own: with thousands of pairs float32 would round the boxes there
    kept = batched_nms(boxes.double(), scores.double(), candidates.group, config.nms_iou)
    kept = kept[(boxes[kept, 2:] > boxes[kept, :2]).all(1)]
    kept = kept[candidates.group[kept].argsort(stable=True)]  # groups in order, best first within
    return replace(_select(candidates, kept), boxes=boxes[kept]), scores[kept]


def _select(candidates: Candidates, rows: Tensor) -> Candidates:
    return Candidates(**{name: column[rows] for name, column in vars(candidates).items()})
