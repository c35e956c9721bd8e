"""From a batch of scenes to detections, along either pathway (docs/method.md, "Inference")."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from spnet.models.boxes import clip, decode
from spnet.models.cascade import gather_candidates
from spnet.models.fpn import FeatureMaps
from spnet.models.heads import AnchorTable
from spnet.models.logits import offset_norm
from spnet.models.pathways import SwapPathway, pair_groups, query_groups, scene_groups
from spnet.models.spnet import SPNet
from spnet.models.suppression import exportable_nms, grouped_nms
from spnet.types import Candidates, Detections, Groups

DISTANCES_AT_ONCE = 2**21  # pairs times anchors: 8 MB
DISTANCES_ON_GPU = 2**24  # 64 MB: there a chunk takes the time to launch it
REGIONS_AT_ONCE = 1024  # boxes a call of a region head


class RegionHead(Protocol):
    """What embeds boxes (R, 4) of scenes (R,): `SPNet.embed`, or `SPNet.location_embed` of a step."""

    def __call__(self, features: FeatureMaps, boxes: Tensor, scene: Tensor, /) -> Tensor:
        """(R, E)."""


@torch.no_grad()
def detect_all(network: SPNet, features: FeatureMaps, score_threshold: Tensor | None = None) -> Detections:
    """Object-centric: every person of every scene; column `query` is 0. The threshold () is the network's if None."""
    groups = scene_groups(features.sizes.shape[0], features.sizes.device)
    topk = network.config.inference.object_pre_nms_topk
    anchors = network.anchor_table(features)
    return _detect(network, network.object_pathway(), features, anchors, groups, topk, score_threshold)


@torch.no_grad()
def detect_pairs(
    network: SPNet, features: FeatureMaps, queries: Tensor, score_threshold: Tensor | None = None
) -> Detections:
    """As `detect_queries`, all pairs at once, as torch.export can follow it: distances (B * Q, A) are held."""
    groups = pair_groups(features.sizes.shape[0], queries)
    topk = network.config.inference.query_pre_nms_topk
    anchors = network.anchor_table(features)
    return _detect(network, network.query_pathway(queries), features, anchors, groups, topk, score_threshold)


def detect_queries(network: SPNet, features: FeatureMaps, queries: Tensor) -> Detections:
    """Query-centric: the persons of x_q (Q, D) in every scene; column `query` says whom."""
    parts = list(iter_query_detections(network, features, queries))
    return Detections(**{name: torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])})


@torch.no_grad()
def iter_query_detections(
    network: SPNet, features: FeatureMaps, queries: Tensor, wanted: Tensor | None = None
) -> Iterator[Detections]:
    """Query-centric: the persons of x_q (Q, D) in the scenes where they are `wanted` (B, Q) bool, everywhere if None.

    Yields the detections of one scene and some queries at a time, scene by scene, queries in order; column `query` says
    which. However many queries there are, no more is held than `DISTANCES_AT_ONCE` distances (`DISTANCES_ON_GPU`), or
    those of one query to all anchors of a scene.
    """
    anchors = network.anchor_table(features)
    pathway, topk = network.query_pathway(queries), network.config.inference.query_pre_nms_topk
    rows = torch.arange(len(queries), device=queries.device)
    at_once = max(1, (DISTANCES_AT_ONCE if queries.device.type == "cpu" else DISTANCES_ON_GPU) // anchors.count)
    for scene in range(len(features.sizes)):
        chosen = rows if wanted is None else rows[wanted[scene]]
        alone = FeatureMaps(
            [level[scene : scene + 1] for level in features.levels],
            features.sizes[scene : scene + 1],
            features.padded_size,
        )
        its_anchors = anchors.of_scene(scene)
        for part in chosen.split(at_once):
            found = _detect(network, pathway, alone, its_anchors, query_groups(part), topk)
            yield replace(found, scene=torch.full_like(found.scene, scene))


def with_cosines(found: Detections, directions: Tensor) -> Detections:
    """The detections with their cosine (M, 1) to the query that found them, of `directions` (Q, E), as embedding."""
    cosines = (normalize(found.embeddings) * directions[found.query]).sum(1, keepdim=True)
    return replace(found, embeddings=cosines)


def embed_regions(head: RegionHead, features: FeatureMaps, boxes: Tensor, scene: Tensor) -> Tensor:
    """Embeddings of boxes (R, 4) in scenes (R,), a bounded number a call."""
    if torch.compiler.is_exporting():  # how many there are is not known
        return head(features, boxes, scene)
    parts = zip(boxes.split(REGIONS_AT_ONCE), scene.split(REGIONS_AT_ONCE), strict=True)
    return torch.cat([head(features, *part) for part in parts])


def _detect(
    network: SPNet,
    pathway: SwapPathway,
    features: FeatureMaps,
    anchors: AnchorTable,
    groups: Groups,
    topk: int,
    score_threshold: Tensor | None = None,
) -> Detections:
    candidates, logits = _best_anchors(network, pathway, anchors, groups, topk, score_threshold)
    candidates, logits = _refine(network, 0, features, candidates, logits, groups.scene.shape[0])
    if not torch.compiler.is_exporting() and not len(candidates.boxes):  # a region head would be given an empty region
        embeddings = logits.new_zeros(0, network.config.reid_dim)
        return Detections(candidates.boxes, logits.sigmoid(), candidates.scene, candidates.query, embeddings)
    for step in range(1, network.config.cascade_steps + 1):
        head = partial(network.location_embed, step)
        embeddings = embed_regions(head, features, candidates.boxes, candidates.scene)
        candidates = replace(candidates, offsets=pathway.offsets(step, embeddings, candidates.query))
        logits = network.logits[step](offset_norm(candidates.offsets))
        candidates, logits = _refine(network, step, features, candidates, logits, groups.scene.shape[0])
    embeddings = embed_regions(network.embed, features, candidates.boxes, candidates.scene)
    return Detections(candidates.boxes, logits.sigmoid(), candidates.scene, candidates.query, embeddings)


def _best_anchors(
    network: SPNet,
    pathway: SwapPathway,
    anchors: AnchorTable,
    groups: Groups,
    topk: int,
    score_threshold: Tensor | None,
) -> tuple[Candidates, Tensor]:
    """The anchors of highest logit in each group, above the threshold, and their logits.

    The method takes the best `topk`, then those above the threshold, then the best `max_detections` of them. A higher
    logit is a higher score, so these are the best of both numbers that lie above the threshold.
    """
    config = network.config.inference
    logits = network.logits[0](pathway.distances(anchors, groups))
    highest, index = logits.topk(min(topk, config.max_detections, anchors.count), dim=1)
    above = highest.sigmoid() > (config.score_threshold if score_threshold is None else score_threshold)
    candidates = gather_candidates(pathway, anchors, groups, index, above)
    return _select(candidates, candidates.valid), highest.flatten()[candidates.valid]


def _refine(
    network: SPNet, step: int, features: FeatureMaps, candidates: Candidates, logits: Tensor, groups: int
) -> tuple[Candidates, Tensor]:
    """Decode, clip, and drop boxes that overlap a better one of their group, or of which nothing is in the image.

    Logits say which is better: far from 0 sigmoids round to 0 or 1, and not everywhere in the same way.
    """
    deltas = network.boxes[step](candidates.offsets)
    boxes = clip(decode(deltas, candidates.boxes), features.sizes[candidates.scene])
    config = network.config.inference
    if torch.compiler.is_exporting():
        kept = exportable_nms(boxes, logits, candidates.group, config.nms_iou, groups, config.max_detections)
    else:
        kept = grouped_nms(boxes, logits, candidates.group, config.nms_iou)
    kept = kept[(boxes[kept, 2:] > boxes[kept, :2]).all(1)]
    return replace(_select(candidates, kept), boxes=boxes[kept]), logits[kept]


def _select(candidates: Candidates, rows: Tensor) -> Candidates:
    return Candidates(**{name: column[rows] for name, column in vars(candidates).items()})
