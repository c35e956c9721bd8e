"""Re-ranking of a search: similarities of a query to its gallery's detections are changed before they are scored.

Letters as in `similarity`: C queries of a chunk, K columns; L scenes of their galleries that hold detections.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.context_matching import ContextMatching, Graphs, match_graphs
from spnet.evaluation.gallery_filter import GalleryFilter
from spnet.evaluation.k_reciprocal import KReciprocal, jaccard_to_query
from spnet.evaluation.overlaps import paired_iou
from spnet.evaluation.protocols import Galleries
from spnet.evaluation.rerank_options import Reranking
from spnet.evaluation.similarity import GallerySimilarity
from spnet.ragged import concat_ranges, group, index_of

OWN_IOU = 0.5  # a detection that overlaps the query's box by so much is the query itself, not a companion
Indices = npt.NDArray[np.int64]
How = TypeVar("How", bound=Reranking)


@dataclass(frozen=True)
class Segments:
    """The scenes that C queries search, each a stretch of a query's row, one row after another."""

    query: Indices  # (L,) 0..C−1
    scene: Indices  # (L,) row of the scenes
    start: Indices  # (L,) of the flattened rows, ascending
    count: Indices  # (L,) detections, 1 or more


class Reranker(ABC, Generic[How]):
    """Changes the rows of similarities of one search."""

    def __init__(self, how: How, arrays: EvaluationArrays, galleries: Galleries, similarity: GallerySimilarity) -> None:
        self._how, self._arrays, self._galleries, self._similarity = how, arrays, galleries, similarity
        scene = index_of(arrays.image_ids, arrays.det_image)
        self._detections, self._starts, self._counts = group(scene, len(arrays.image_ids))
        self._prepare()

    def _prepare(self) -> None:
        """Find once what a kind of re-ranking needs besides. Raises UserError where it lacks something."""

    @abstractmethod
    def queries_at_once(self, chunk: int) -> int:
        """How many queries to give to `rerank` so that about `chunk` numbers are held at a time."""

    @abstractmethod
    def rerank(self, rows: Tensor, first: int, last: int) -> Tensor:
        """The similarities (C, K) of queries first..last−1, changed; −inf stays. May overwrite `rows`."""

    def _segments(self, first: int, last: int) -> Segments:
        galleries, query = self._galleries, np.arange(first, last)
        lists = np.zeros_like(query) if galleries.shared else query
        owner, entry = concat_ranges(galleries.starts[lists], galleries.counts[lists])
        scene = galleries.scenes[entry]
        searched = (self._counts[scene] > 0) & (scene != galleries.own_scene[owner + first])
        owner, entry, scene = owner[searched], entry[searched], scene[searched]
        column = self._similarity.columns(entry, self._detections[self._starts[scene]])
        return Segments(owner, scene, owner * self._similarity.width + column, self._counts[scene])

    def _embeddings(self, detections: Indices) -> Tensor:
        """Normalized embeddings (..., E) of detections (...)."""
        return _normalized(self._arrays.det_emb[detections])


class KReciprocalReranker(Reranker[KReciprocal]):
    """λ · cosine + (1 − λ) · Jaccard index of reciprocal neighbours, in the pool of a query and its nearest."""

    def _prepare(self) -> None:
        self._depth = min(self._how.depth, self._similarity.width)

    def queries_at_once(self, chunk: int) -> int:
        return max(1, chunk // (self._depth + 1) ** 2)

    def rerank(self, rows: Tensor, first: int, last: int) -> Tensor:
        segments = self._segments(first, last)
        if not len(segments.start):
            return rows
        values, columns = rows.topk(self._depth, dim=1)
        present = torch.cat([torch.ones(len(rows), 1, dtype=torch.bool, device=rows.device), values > -torch.inf], 1)
        candidates = self._embeddings(self._detection_of(segments, columns.cpu().numpy()))
        queries = _normalized(self._arrays.gt_emb[self._galleries.query_box[first:last]])
        points = torch.cat([queries[:, None], candidates], dim=1).to(rows.device)
        rows *= self._how.weight
        return rows.scatter_add_(1, columns, (1 - self._how.weight) * jaccard_to_query(points, present, self._how))

    def _detection_of(self, segments: Segments, columns: Indices) -> Indices:
        """The detections (C, M) in columns (C, M); any where a column is not of the query's gallery."""
        flat = np.arange(len(columns))[:, None] * self._similarity.width + columns
        segment = (np.searchsorted(segments.start, flat, side="right") - 1).clip(min=0)
        place = (flat - segments.start[segment]).clip(0, segments.count[segment] - 1)
        detection: Indices = self._detections[self._starts[segments.scene[segment]] + place]
        return detection


class ContextReranker(Reranker[ContextMatching]):
    """Whoever is matched with the query, its companions being matched too, gets the sum of the matching's cosines."""

    def _prepare(self) -> None:
        owner, self._companions = self._find_companions()
        self._number = np.bincount(owner, minlength=len(self._galleries.query_box))
        self._first = np.cumsum(self._number) - self._number

    def queries_at_once(self, chunk: int) -> int:
        edges = self._how.k1 * (self._how.k2 + 1) * int(self._counts.max(initial=1))
        held = edges * int(self._arrays.det_emb.shape[1])
        return max(1, min(chunk // held, self._similarity.queries_at_once(chunk)))

    def rerank(self, rows: Tensor, first: int, last: int) -> Tensor:
        values = rows.cpu().numpy().reshape(-1)
        segments = self._best_scenes(values, self._segments(first, last))
        number, start = self._number[segments.query + first], self._first[segments.query + first]
        graph, left = concat_ranges(start - 1, number + 1)  # start − 1 stands for the query
        edge, place = concat_ranges(np.zeros_like(graph), segments.count[graph])
        graph, left, is_query = graph[edge], left[edge], (left == start[graph] - 1)[edge]
        weight = np.empty(len(graph))
        weight[is_query] = values[(segments.start[graph] + place)[is_query]]
        other = self._detections[self._starts[segments.scene[graph]] + place][~is_query]
        pairs = self._embeddings(self._companions[left[~is_query]]), self._embeddings(other)
        weight[~is_query] = torch.linalg.vecdot(*pairs).numpy()
        partner, total = match_graphs(Graphs(number + 1, segments.count, weight))
        values[(segments.start + partner)[partner >= 0]] = total[partner >= 0]
        return torch.from_numpy(values.reshape(rows.shape)).to(rows.device)

    def _find_companions(self) -> tuple[Indices, Indices]:
        """Queries (M,), ascending, and the k2 most certain detections (M,) beside each in its own scene."""
        own, boxes = self._galleries.own_scene, self._galleries.query_box
        query, member = concat_ranges(self._starts[own], self._counts[own])
        detection = self._detections[member]
        corners = self._arrays.gt_box[boxes[query]], self._arrays.det_box[detection]
        others = paired_iou(*(np.ascontiguousarray(part.T, np.float64) for part in corners)) < OWN_IOU
        query, detection = query[others], detection[others]
        order = np.lexsort((detection, -self._arrays.det_score[detection], query))
        query, detection = query[order], detection[order]
        certain = _place_in_group(query) < self._how.k2
        return query[certain], detection[certain]

    def _best_scenes(self, values: npt.NDArray[np.float32], segments: Segments) -> Segments:
        """The k1 scenes of each query whose most similar detections are most similar."""
        if not len(segments.start):
            return segments
        best = np.maximum.reduceat(values, segments.start)
        order = np.lexsort((-best, segments.query))
        chosen = np.sort(order[_place_in_group(segments.query[order]) < self._how.k1])
        return Segments(*(column[chosen] for column in vars(segments).values()))


class FilterReranker(Reranker[GalleryFilter]):
    """Similarities times the gallery filter's score of their scene."""

    def _prepare(self) -> None:
        scenes, scored = len(self._arrays.image_ids), self._how.scores.shape[1]
        if scored != scenes:
            raise UserError(f"filter_score has {scored} scenes, image_ids {scenes}")
        queries = self._arrays.gt_annotation[self._galleries.query_box]
        self._row = index_of(self._how.queries, queries)
        if (self._row < 0).any():
            raise UserError(f"query {queries[self._row < 0][0]} is not in filter_query")

    def queries_at_once(self, chunk: int) -> int:
        return max(1, chunk // max(1, 10 * self._similarity.width))  # each column needs its indices beside it

    def rerank(self, rows: Tensor, first: int, last: int) -> Tensor:
        values = rows.cpu().numpy().reshape(-1)
        segments = self._segments(first, last)
        score = self._how.scores[self._row[segments.query + first], segments.scene].astype(np.float32)
        segment, member = concat_ranges(segments.start, segments.count)
        searched = (score >= self._how.threshold)[segment]
        values[member] = np.where(searched, values[member] * score[segment], -np.inf)
        return torch.from_numpy(values.reshape(rows.shape)).to(rows.device)


RERANKERS: dict[type[Reranking], type[Reranker[Any]]] = {
    KReciprocal: KReciprocalReranker,
    ContextMatching: ContextReranker,
    GalleryFilter: FilterReranker,
}


def make_reranker(
    how: Reranking, arrays: EvaluationArrays, galleries: Galleries, similarity: GallerySimilarity
) -> Reranker[Any]:
    """The re-ranking of one search. Raises UserError where a gallery filter lacks a query or has other scenes."""
    return RERANKERS[type(how)](how, arrays, galleries, similarity)


def _normalized(embeddings: npt.NDArray[np.floating]) -> Tensor:
    return normalize(torch.from_numpy(embeddings.astype(np.float32)), dim=-1)


def _place_in_group(keys: Indices) -> Indices:
    """How many of the sorted keys (N,) before each are equal to it."""
    return np.arange(len(keys)) - np.searchsorted(keys, keys)
