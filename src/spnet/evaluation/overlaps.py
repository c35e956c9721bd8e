"""Which detections overlap which annotated boxes: the one geometric question of every measure."""

from dataclasses import dataclass

import numpy as np

from spnet.evaluation.arrays import EvaluationArrays
from spnet.evaluation.ragged import expand, group, rows_of


@dataclass(frozen=True)
class Overlaps:
    """M pairs of an annotated box and a detection of the same scene, sorted by box, then detection."""

    box: np.ndarray  # (M,) int64, row into the annotated boxes
    detection: np.ndarray  # (M,) int64, row into the detections
    iou: np.ndarray  # (M,) float64

    def at_least(self, threshold: np.ndarray | float) -> "Overlaps":
        """The pairs whose IoU reaches the threshold, one number or one a pair (M,)."""
        keep = self.iou >= threshold
        return Overlaps(self.box[keep], self.detection[keep], self.iou[keep])


def scene_overlaps(arrays: EvaluationArrays) -> Overlaps:
    """All pairs of an annotated box and a detection in one scene."""
    scenes = len(arrays.image_ids)
    detections, starts, counts = group(rows_of(arrays.image_ids, arrays.det_image), scenes)
    scene = rows_of(arrays.image_ids, arrays.gt_image)
    box, member = expand(starts[scene], counts[scene])
    detection = detections[member]
    return Overlaps(box, detection, paired_iou(arrays.gt_box[box], arrays.det_box[detection]))


def paired_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of box i of `first` with box i of `second`, both (M, 4) pixels xyxy; float64 (M,)."""
    left, top, right, bottom = first.T.astype(np.float64)
    other_left, other_top, other_right, other_bottom = second.T.astype(np.float64)
    width = (np.minimum(right, other_right) - np.maximum(left, other_left)).clip(min=0)
    height = (np.minimum(bottom, other_bottom) - np.maximum(top, other_top)).clip(min=0)
    intersection = width * height
    areas = (right - left) * (bottom - top) + (other_right - other_left) * (other_bottom - other_top)
    return intersection / (areas - intersection)
