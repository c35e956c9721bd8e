"""Rankings for a page: queries from best to worst, and the most similar detections of each, judged as scored."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spnet.evaluation.arrays import EvaluationArrays, confident_detections
from spnet.evaluation.matching import Mode, OccurrenceIndex, best_matches
from spnet.evaluation.protocols import Protocol, resolve_protocol
from spnet.ragged import index_of


@dataclass(frozen=True)
class RankedQuery:
    """The K detections of a gallery that are most similar to one query, best first."""

    query_box: int  # row of the annotated boxes
    num_relevant: int  # boxes of the person in the gallery
    gallery: int  # scenes of the gallery
    image: npt.NDArray[np.int64]  # (K,) id of the scene
    box: npt.NDArray[np.floating]  # (K, 4) pixels xyxy
    score: npt.NDArray[np.floating]  # (K,)
    similarity: npt.NDArray[np.floating]  # (K,) cosine, -1..1
    is_match: npt.NDArray[np.bool_]  # (K,) the person, as the evaluator counts it


def evenly_by_value(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Choose at most `count` rows of `values` (N,), evenly over their descending order, both ends included."""
    order = np.argsort(-values, kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(np.int64)
    return order[places]


def rank_queries(
    arrays: EvaluationArrays,
    protocol: Protocol,
    queries: npt.NDArray[np.int64],
    keep: int,
    mode: Mode = "published",
    score_threshold: float = 0.5,
) -> list[RankedQuery]:
    """Rank the gallery of some queries, rows (Q,) of the protocol, and keep the first `keep` detections.

    Raises UserError where the protocol names what `arrays` lacks.
    """
    arrays = confident_detections(arrays, score_threshold)
    galleries = resolve_protocol(protocol, arrays)
    occurrences = OccurrenceIndex(arrays, mode)
    scene = index_of(arrays.image_ids, arrays.det_image)
    embeddings, annotated = _normalized(arrays.det_emb), _normalized(arrays.gt_emb)
    everywhere = np.arange(len(arrays.image_ids))
    rankings = []
    for query in queries.tolist():
        box, own = int(galleries.query_box[query]), galleries.own_scene[query]
        searched = (galleries.find(np.full(len(everywhere), query), everywhere) >= 0) & (everywhere != own)
        similarity = embeddings @ annotated[box]
        candidates = occurrences.candidates(galleries, query, query + 1)
        is_match = np.zeros(len(scene), bool)
        is_match[candidates.detection[best_matches(candidates, similarity[candidates.detection])]] = True
        rows = np.flatnonzero(searched[scene])
        rows = rows[np.argsort(-similarity[rows], kind="stable")][:keep]
        shown = (arrays.det_image[rows], arrays.det_box[rows], arrays.det_score[rows], similarity[rows], is_match[rows])
        rankings.append(RankedQuery(box, int(candidates.num_relevant[0]), int(searched.sum()), *shown))
    return rankings


def _normalized(embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, 1e-12))
