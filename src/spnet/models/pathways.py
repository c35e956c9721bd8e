"""The swap: two ways to make the query embedding x_q that an anchor embedding x_a is subtracted from.

Everything after x_o = x_q - x_a is shared, so both paths offer the same five methods and end in the same `Candidates`.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from spnet.models.boxes import overlaps
from spnet.models.heads import AnchorTable, squared_norms
from spnet.models.logits import offset_norm
from spnet.models.matching import match_pairs, match_scenes
from spnet.models.sampling import sample_balanced, sample_pairs
from spnet.types import Groups, Targets

PairAnchors = Literal["nearest", "lowest_index"]


class SwapPathway(ABC):
    """What detection needs to know of a path."""

    @abstractmethod
    def training_groups(self, targets: Targets, scenes: int) -> Groups:
        """What is trained together in a batch of B = `scenes`."""

    @abstractmethod
    def distances(self, anchors: AnchorTable, groups: Groups) -> Tensor:
        """|x_o| of every anchor in every group, (G, A) float32."""

    @abstractmethod
    def match(self, anchors: AnchorTable, targets: Targets, groups: Groups) -> Tensor:
        """(G, A) row of each anchor's target, BACKGROUND or IGNORED."""

    @abstractmethod
    def sample_anchors(
        self, matches: Tensor, distances: Tensor, anchors: AnchorTable, targets: Targets, groups: Groups
    ) -> tuple[Tensor, Tensor]:
        """Anchors that train the box loss and the cascade: indices (G, n) and which of them are valid (G, n)."""

    @abstractmethod
    def offsets(self, step: int, embeddings: Tensor, query: Tensor) -> Tensor:
        """x_o of embeddings x_a (M, D) whose query is `query` (M,), at a cascade step (0: anchors)."""

    @abstractmethod
    def match_mask(self, scene: Tensor, group: Tensor, targets: Targets, groups: Groups) -> Tensor:
        """(M, N) which targets a box of that scene and group may be matched with in the cascade."""

    append_gt: bool  # annotated boxes join the candidates of the cascade


class ObjectPathway(SwapPathway):
    """Object-centric: x_q = W x_a + b, predicted by a bridge for each step. Finds every person.

    Args:
        bridges: one linear layer for each step.
        samples: n, candidates sampled of each scene, at most half of them positive.
    """

    append_gt = True

    def __init__(self, bridges: nn.ModuleList, samples: int = 0) -> None:
        self.bridges = bridges
        self.samples = samples

    def training_groups(self, targets: Targets, scenes: int) -> Groups:
        rows = torch.arange(len(targets.scene), device=targets.scene.device)
        none = len(targets.scene)
        first = torch.full((scenes,), none, device=rows.device).scatter_reduce(0, targets.scene, rows, "amin")
        return scene_groups(scenes, rows.device, torch.where(first == none, -1, first))

    def distances(self, anchors: AnchorTable, groups: Groups) -> Tensor:
        return offset_norm(self.offsets(0, anchors.embeddings, groups.query))

    def match(self, anchors: AnchorTable, targets: Targets, groups: Groups) -> Tensor:
        return match_scenes(anchors.boxes, targets, len(groups.scene))

    def sample_anchors(
        self, matches: Tensor, distances: Tensor, anchors: AnchorTable, targets: Targets, groups: Groups
    ) -> tuple[Tensor, Tensor]:
        return sample_balanced(matches, self.samples)

    def offsets(self, step: int, embeddings: Tensor, query: Tensor) -> Tensor:
        queries: Tensor = self.bridges[step](embeddings)
        return queries - embeddings

    def match_mask(self, scene: Tensor, group: Tensor, targets: Targets, groups: Groups) -> Tensor:
        return scene[:, None] == targets.scene


class QueryPathway(SwapPathway):
    """Query-centric: x_q is the location embedding of a query's box. Finds that person.

    Args:
        queries: x_q (Q, D); in training those of all targets, in their order.
        pairs: query-scene pairs trained in a batch, at most.
        samples: candidates of each pair; half by overlap, half by distance where the person is in the scene.
    """

    append_gt = False

    def __init__(self, queries: Tensor, pairs: int = 0, samples: int = 0, second_half: PairAnchors = "nearest") -> None:
        self.queries = queries
        self.pairs = pairs
        self.samples = samples
        self.second_half = second_half

    def training_groups(self, targets: Targets, scenes: int) -> Groups:
        return sample_pairs(targets, scenes, self.pairs)

    def distances(self, anchors: AnchorTable, groups: Groups) -> Tensor:
        with torch.autocast(self.queries.device.type, enabled=False):
            return pair_distances(self.queries.float(), anchors, groups)

    def match(self, anchors: AnchorTable, targets: Targets, groups: Groups) -> Tensor:
        return match_pairs(anchors.boxes, targets, groups)

    def sample_anchors(
        self, matches: Tensor, distances: Tensor, anchors: AnchorTable, targets: Targets, groups: Groups
    ) -> tuple[Tensor, Tensor]:
        samples = min(self.samples, anchors.count)
        half = samples // 2
        person_there = (groups.target >= 0)[:, None]
        boxes = targets.boxes[groups.target.clamp(min=0)] if len(targets.boxes) else targets.boxes
        overlap = overlaps(boxes[:, None], anchors.boxes, generalized=True)
        # anchors on a grid tie often, and top-k breaks ties by its length: the head of the longer list is the release's
        closest = overlap.topk(samples, dim=1).indices[:, :half]
        taken = torch.zeros_like(distances, dtype=torch.bool).scatter(1, closest, value=True) & person_there
        order = distances.detach()
        if self.second_half == "lowest_index":
            order = torch.where(person_there, torch.arange(anchors.count, device=order.device), order)
        nearest = order.masked_fill(taken, torch.inf).topk(samples, dim=1, largest=False).indices
        both = torch.cat([closest, nearest[:, : samples - half]], dim=1)
        index = torch.where(person_there, both, nearest)
        return index, groups.valid[:, None].expand_as(index)

    def offsets(self, step: int, embeddings: Tensor, query: Tensor) -> Tensor:
        return self.queries[query] - embeddings

    def match_mask(self, scene: Tensor, group: Tensor, targets: Targets, groups: Groups) -> Tensor:
        rows = torch.arange(len(targets.scene), device=scene.device)
        return groups.target[group][:, None] == rows


def scene_groups(scenes: int, device: torch.device, target: Tensor | None = None) -> Groups:
    """One group a scene."""
    rows = torch.arange(scenes, device=device)
    target = torch.full_like(rows, -1) if target is None else target
    return Groups(
        scene=rows, query=torch.zeros_like(rows), target=target, valid=torch.ones_like(rows, dtype=torch.bool)
    )


def query_groups(query: Tensor) -> Groups:
    """One group for each of some queries (G,) int64, all in the one scene of a batch."""
    zeros = torch.zeros_like(query)
    return Groups(scene=zeros, query=query, target=zeros - 1, valid=torch.ones_like(query, dtype=torch.bool))


def pair_groups(scenes: int, queries: Tensor) -> Groups:
    """One group for each of the queries (Q, D) in each scene, scene by scene."""
    scene = torch.arange(scenes, device=queries.device)[:, None].expand(-1, queries.shape[0]).flatten()
    query = torch.arange(queries.shape[0], device=queries.device).expand(scenes, -1).flatten()
    return Groups(
        scene=scene, query=query, target=torch.full_like(query, -1), valid=torch.ones_like(query, dtype=torch.bool)
    )


def pair_distances(queries: Tensor, anchors: AnchorTable, groups: Groups) -> Tensor:
    """|q - a| by the expanded square: queries (Q, D), anchors (B, A, D) -> (P, A), never a (P, A, D) tensor."""
    embeddings = anchors.embeddings.float()
    scenes, (count, dims) = embeddings.shape[0], queries.shape
    chosen = queries[groups.query]
    # pairs of one scene side by side, so that each scene takes part in one matrix product
    in_scene = groups.scene == torch.arange(scenes, device=queries.device)[:, None]
    slot = (in_scene.cumsum(1) - 1).gather(0, groups.scene[None])[0]
    slots = torch.sym_min(groups.scene.shape[0], count)
    table = queries.new_zeros(scenes, slots, dims).index_put((groups.scene, slot), chosen)
    products = (table @ embeddings.transpose(1, 2))[groups.scene, slot]
    anchor_squares = squared_norms(embeddings) if anchors.squares is None else anchors.squares
    squares = chosen.square().sum(1, keepdim=True) + anchor_squares[groups.scene] - 2 * products
    return squares.clamp_min(1e-12).sqrt()
