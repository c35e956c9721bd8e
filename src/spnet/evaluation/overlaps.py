"""Which detections overlap which annotated boxes: the one geometric question of every measure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spnet.evaluation.arrays import EvaluationArrays
from spnet.ragged import concat_ranges, group, index_of


@dataclass(frozen=True)
class Overlaps:
    """M pairs of an annotated box and a detection of the same scene, sorted by box, then detection."""

    box: npt.NDArray[np.int64]  # (M,) row into the annotated boxes
    detection: npt.NDArray[np.int64]  # (M,) row into the detections
    iou: npt.NDArray[np.float64]  # (M,)

    def select(self, keep: npt.NDArray[np.bool_]) -> "Overlaps":
        """The pairs where the bool array (M,) is set."""
        return Overlaps(self.box[keep], self.detection[keep], self.iou[keep])


def scene_overlaps(arrays: EvaluationArrays) -> Overlaps:
    """All pairs of an annotated box and a detection in one scene."""
    scenes = len(arrays.image_ids)
    detections, starts, counts = group(index_of(arrays.image_ids, arrays.det_image), scenes)
    scene = index_of(arrays.image_ids, arrays.gt_image)
    box, member = concat_ranges(starts[scene], counts[scene])
    detection = detections[member]
    gt_box, det_box = (np.ascontiguousarray(boxes.T, np.float64) for boxes in (arrays.gt_box, arrays.det_box))
    return Overlaps(box, detection, paired_iou(gt_box.take(box, axis=1), det_box.take(detection, axis=1)))


def paired_iou(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """IoU of box i of `first` with box i of `second`, both (4, M): left, top, right, bottom in pixels; float64 (M,).

    Works in place: for so little arithmetic, fresh memory for every step would take most of the time.
    """
    intersection: npt.NDArray[np.float64]
    left, top = np.maximum(first[:2], second[:2])
    intersection, height = np.minimum(first[2:], second[2:])
    intersection -= left
    height -= top
    np.maximum(intersection, 0, out=intersection)
    np.maximum(height, 0, out=height)
    intersection *= height
    union = _area(first)
    union += _area(second)
    union -= intersection
    intersection /= union
    return intersection


def _area(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    left, top, right, bottom = boxes
    area: npt.NDArray[np.float64] = right - left
    area *= bottom - top
    return area
