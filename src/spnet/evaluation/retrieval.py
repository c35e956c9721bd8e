"""Person search measured: every detection of a gallery ranked by its similarity to a query (SPEC section 6).

No ranking is ever made. Average precision needs, for each match, only how many detections and how many matches are at
least as similar; so a chunk of queries costs one matrix product, one sort of its rows and a few binary searches.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays, confident_detections, ground_truth_detections
from spnet.evaluation.matching import Mode, OccurrenceIndex, best_matches
from spnet.evaluation.protocols import Protocol, resolve_protocol
from spnet.evaluation.similarity import GallerySimilarity

_NEVER = np.iinfo(np.int64).max
CHUNK = 2**24  # similarities held at once: 64 MB


@dataclass(frozen=True)
class RetrievalResult:
    """What each of Q queries scored, in the order of the protocol."""

    queries: np.ndarray  # (Q,) int64, annotation ids
    average_precisions: np.ndarray  # (Q,) float64
    first_match_ranks: np.ndarray  # (Q,) int64, from 1; 0 where nothing of the gallery matches

    @property
    def mean_average_precision(self) -> float:
        """mAP, a fraction of 1."""
        return float(self.average_precisions.mean())

    def top(self, k: int) -> float:
        """Top-k: the fraction of queries with a match among the first k of the ranking."""
        ranks = self.first_match_ranks
        return float(((ranks > 0) & (ranks <= k)).mean())


def evaluate(
    arrays: EvaluationArrays,
    protocol: Protocol,
    *,
    mode: Mode = "published",
    ground_truth: bool = False,
    confidence_weighted: bool = False,
    score_threshold: float = 0.5,
    chunk: int = CHUNK,
    device: torch.device | str = "cpu",
) -> RetrievalResult:
    """Rank the detections of every query's gallery and score the rankings (SPEC section 6).

    `ground_truth` takes the annotated boxes as detections; `confidence_weighted` multiplies similarities by scores;
    detections below `score_threshold` are left out; about `chunk` similarities are held at a time, on `device`.
    Raises UserError where the protocol names what `arrays` lacks, or for an unknown mode.
    """
    if chunk < 1:
        raise UserError(f"chunk is {chunk}: at least one similarity must be held")
    arrays = ground_truth_detections(arrays) if ground_truth else confident_detections(arrays, score_threshold)
    galleries = resolve_protocol(protocol, arrays)
    appearances = OccurrenceIndex(arrays, mode)
    similarity = GallerySimilarity(arrays, galleries, confidence_weighted, device)
    total = len(protocol.queries)
    precisions, ranks = np.zeros(total), np.zeros(total, np.int64)
    step = similarity.queries_at_once(chunk)
    for first in range(0, total, step):
        last = min(total, first + step)
        candidates = appearances.candidates(galleries, first, last)
        rows = similarity.rows(first, last)
        values = _take(rows, candidates.query, similarity.columns(candidates.entry, candidates.detection))
        matches = best_matches(candidates, values)
        scored = score_matches(rows, candidates.query[matches], values[matches], candidates.num_relevant)
        precisions[first:last], ranks[first:last] = scored
    return RetrievalResult(protocol.queries, precisions, ranks)


def score_matches(
    rows: Tensor, query: np.ndarray, similarity: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision (C,) and rank of the first match (C,) of C queries.

    `rows` (C, K) are the similarities of all detections, and are sorted in place; M matches belong to row `query` and
    have a `similarity`; `wanted` (C,) is how many there should be. Ties stand at one threshold, as in scikit-learn; in
    ranks, detections that are no match come before the matches they tie with.
    """
    order = np.argsort(query, kind="stable")
    found = np.bincount(query, minlength=len(wanted))
    place = np.arange(len(query)) - (np.cumsum(found) - found)[query[order]]
    thresholds = np.full((len(wanted), found.max(initial=0)), -np.inf, np.float32)
    thresholds[query[order], place] = similarity[order]
    is_match = np.isfinite(thresholds)
    detections = count_at_least(rows, torch.from_numpy(thresholds).to(rows.device))
    matches = count_at_least(torch.from_numpy(thresholds.copy()), torch.from_numpy(thresholds))
    precision = np.divide(matches, detections, where=is_match, out=np.zeros(thresholds.shape))
    ranks = np.where(is_match, detections - matches + 1, _NEVER).min(axis=1, initial=_NEVER)
    return precision.sum(axis=1) / np.maximum(wanted, 1), np.where(found > 0, ranks, 0)


def count_at_least(values: Tensor, thresholds: Tensor) -> np.ndarray:
    """How many of row c of `values` (C, K) reach each of row c of `thresholds` (C, P), int64 (C, P).

    Sorts `values` in place on a CPU, where numpy's sort is many times faster than torch's.
    """
    if values.device.type == "cpu":
        values.numpy().sort(axis=1)
    else:
        values = values.sort(dim=1).values
    return values.shape[1] - torch.searchsorted(values, thresholds).cpu().numpy()


def _take(rows: Tensor, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    index = torch.from_numpy(row).to(rows.device), torch.from_numpy(column).to(rows.device)
    return rows[index].cpu().numpy()
