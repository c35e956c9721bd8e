"""Search metrics: every detection of a gallery ranked by its similarity to a query (docs/method.md, "Evaluation").

No ranking is ever made. Average precision needs, for each match, only how many detections and how many matches are at
least as similar; so a chunk of queries costs one matrix product and a few comparisons of its rows with the matches.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spnet.errors import UserError
from spnet.evaluation.arrays import EvaluationArrays, confident_detections, ground_truth_detections
from spnet.evaluation.matching import Mode, OccurrenceIndex, best_matches
from spnet.evaluation.protocols import Protocol, resolve_protocol
from spnet.evaluation.rerank_options import Reranking
from spnet.evaluation.reranking import make_reranker
from spnet.evaluation.similarity import GallerySimilarity

_NEVER = np.iinfo(np.int64).max
CHUNK = 2**24  # similarities held at once: 64 MB
BLOCK = 2**17  # similarities compared at once: 512 KB, which stay in the cache of a core
FEW = 1 / 128  # share of a block from which listing the similarities that reach a threshold beats comparing all again


@dataclass(frozen=True)
class RetrievalResult:
    """What each of Q queries scored, in the order of the protocol."""

    queries: npt.NDArray[np.int64]  # (Q,) annotation ids
    average_precisions: npt.NDArray[np.float64]  # (Q,)
    first_match_ranks: npt.NDArray[np.int64]  # (Q,) from 1; 0 where nothing of the gallery matches

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
    reranking: Reranking | None = None,
    score_threshold: float = 0.5,
    chunk: int = CHUNK,
    device: torch.device | str = "cpu",
) -> RetrievalResult:
    """Rank the detections of every query's gallery and score the rankings (docs/method.md, "Evaluation").

    `ground_truth` takes the annotated boxes as detections; `confidence_weighted` multiplies similarities by scores;
    `reranking` changes similarities before they are scored (docs/evaluation.md, "Re-ranking");
    detections below `score_threshold` are left out; about `chunk` similarities are held at a time, on `device`.
    Raises UserError where the protocol names what `arrays` lacks, or for an unknown mode.
    """
    if chunk < 1:
        raise UserError(f"chunk is {chunk}: at least one similarity must be held")
    if reranking is not None and confidence_weighted:
        raise UserError("reranking and confidence_weighted: choose one of them")
    arrays = ground_truth_detections(arrays) if ground_truth else confident_detections(arrays, score_threshold)
    galleries = resolve_protocol(protocol, arrays)
    appearances = OccurrenceIndex(arrays, mode)
    similarity = GallerySimilarity(arrays, galleries, confidence_weighted, device)
    total = len(protocol.queries)
    precisions, ranks = np.zeros(total), np.zeros(total, np.int64)
    step = similarity.queries_at_once(chunk)
    reranker = None
    if reranking is not None:
        reranker = make_reranker(reranking, arrays, galleries, similarity)
        step = min(step, reranker.queries_at_once(chunk))
    for first in range(0, total, step):
        last = min(total, first + step)
        candidates = appearances.candidates(galleries, first, last)
        rows = similarity.rows(first, last)
        if reranker is not None:
            rows = reranker.rerank(rows, first, last)
        column = similarity.columns(candidates.entry, candidates.detection)
        places = tuple(torch.from_numpy(part).to(rows.device) for part in (candidates.query, column))
        values = rows[places].cpu().numpy()
        matches = best_matches(candidates, values)
        scored = score_matches(rows, candidates.query[matches], values[matches], candidates.num_relevant)
        precisions[first:last], ranks[first:last] = scored
    return RetrievalResult(protocol.queries, precisions, ranks)


def score_matches(
    rows: Tensor, query: npt.NDArray[np.int64], similarity: npt.NDArray[np.float32], num_relevant: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Average precision (C,) and rank of the first match (C,) of C queries.

    `rows` (C, K) are the similarities of all detections; M matches belong to row `query` and have a `similarity`;
    `num_relevant` (C,) is how many there should be. Ties stand at one threshold, as in scikit-learn; in ranks,
    detections that are no match come before the matches they tie with.
    """
    order = np.argsort(query, kind="stable")
    found = np.bincount(query, minlength=len(num_relevant))
    place = np.arange(len(query)) - (np.cumsum(found) - found)[query[order]]
    thresholds = np.full((len(num_relevant), found.max(initial=0)), np.nan, np.float32)
    thresholds[query[order], place] = similarity[order]
    is_match = np.isfinite(thresholds)
    detections = count_at_least(rows, thresholds)
    matches = np.count_nonzero(thresholds[:, None, :] >= thresholds[:, :, None], axis=2)
    precision = np.divide(matches, detections, where=is_match, out=np.zeros(thresholds.shape))
    ranks = np.where(is_match, detections - matches + 1, _NEVER).min(axis=1, initial=_NEVER)
    return precision.sum(axis=1) / np.maximum(num_relevant, 1), np.where(found > 0, ranks, 0)


def count_at_least(values: Tensor, thresholds: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """How many of row c of `values` (C, K) reach each of row c of `thresholds` (C, P), int64 (C, P); none reaches NaN.

    Only the thresholds, a few matches a row, are sorted: the values are compared with them, which takes a CPU the time
    to read them, whereas the speed of a sort differs between CPUs by a factor of ten.
    """
    if not thresholds.size or not values.numel():
        return np.zeros(thresholds.shape, np.int64)
    if values.device.type != "cpu":
        return count_by_level(values, torch.from_numpy(thresholds).to(values.device)).cpu().numpy()
    order = np.argsort(thresholds, axis=1)  # NaN last
    rising = _count_rising(values.numpy(), np.take_along_axis(thresholds, order, axis=1))
    counts = np.empty_like(rising)
    np.put_along_axis(counts, order, rising, axis=1)
    return counts


def count_by_level(values: Tensor, thresholds: Tensor) -> Tensor:
    """`count_at_least` by comparing all values with one threshold a row after another, as a GPU does fast."""
    return torch.stack([(values >= level[:, None]).sum(dim=1) for level in thresholds.T], dim=1)


def _count_rising(values: npt.NDArray[np.float32], levels: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """`count_at_least` for levels that rise along each row, so that what misses one reaches none of the next."""
    rows, width = values.shape
    counts, places = np.zeros(levels.shape, np.int64), []
    step = max(1, BLOCK // width)
    for first in range(0, rows, step):
        block = slice(first, first + step)
        places.append(first * width + _count_until_few(values[block], levels[block], counts[block]))
    place = np.concatenate(places)
    row, value = place // width, values.reshape(-1)[place]
    for level in range(levels.shape[1]):
        kept = value >= levels[row, level]
        row, value = row[kept], value[kept]
        counts[:, level] = np.maximum(counts[:, level], np.bincount(row, minlength=rows))
    return counts


def _count_until_few(
    values: npt.NDArray[np.float32], levels: npt.NDArray[np.float32], counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Fill the first columns of `counts`, up to a level that few values reach; return their flat indices."""
    for level in range(levels.shape[1]):
        reached = values >= levels[:, level, None]
        counts[:, level] = np.bitwise_count(np.packbits(reached, axis=1)).sum(axis=1, dtype=np.int32)
        if counts[:, level].sum() <= FEW * values.size:
            break
    return np.flatnonzero(reached)
