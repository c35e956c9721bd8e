"""How well persons are detected, whoever they are: recall and average precision of the boxes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spnet.evaluation.arrays import EvaluationArrays, confident_detections
from spnet.evaluation.overlaps import Overlaps, scene_overlaps
from spnet.ragged import is_first


@dataclass(frozen=True)
class DetectionResult:
    """Fractions of 1."""

    recall: float
    average_precision: float


def evaluate_detection(
    arrays: EvaluationArrays, iou_threshold: float = 0.5, score_threshold: float = 0.5
) -> DetectionResult:
    """Recall and average precision over all scenes of `arrays` (docs/method.md, "Evaluation").

    A detection is matched when it and an annotated box are each other's best overlap and their IoU reaches
    `iou_threshold`. The average precision of the scores is multiplied by the recall, since the ranking knows nothing of
    persons never found. Detections below `score_threshold` are left out. Both are 0 where there is nothing to find.
    """
    arrays = confident_detections(arrays, score_threshold)
    matched = np.zeros(len(arrays.det_score), bool)
    overlaps = scene_overlaps(arrays)
    matched[mutually_best(overlaps.select(overlaps.iou >= iou_threshold)).detection] = True
    recall = float(matched.sum() / max(1, len(arrays.gt_box)))
    return DetectionResult(recall, average_precision(arrays.det_score, matched) * recall)


def mutually_best(overlaps: Overlaps) -> Overlaps:
    """The pairs in which each is the other's best overlap; of equal overlaps the first row is the best."""
    by_box = np.lexsort((overlaps.detection, -overlaps.iou, overlaps.box))
    by_detection = np.lexsort((overlaps.box, -overlaps.iou, overlaps.detection))
    best = np.zeros((2, len(overlaps.iou)), bool)
    best[0, by_box] = is_first(overlaps.box[by_box])
    best[1, by_detection] = is_first(overlaps.detection[by_detection])
    return overlaps.select(best[0] & best[1])


def average_precision(scores: npt.NDArray[np.floating], is_match: npt.NDArray[np.bool_]) -> float:
    """Mean, over the matches, of the precision among all that score at least as high; 0 without a match.

    Equal scores stand at one threshold, as in scikit-learn's `average_precision_score`. `scores`, `is_match`: (N,).
    """
    if not is_match.any():
        return 0.0
    everything, matches = np.sort(scores), np.sort(scores[is_match])
    at_least = len(everything) - np.searchsorted(everything, matches)
    matches_at_least = len(matches) - np.searchsorted(matches, matches)
    return float((matches_at_least / at_least).mean())
