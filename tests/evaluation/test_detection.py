"""Recall and average precision of boxes, against the plain oracle and by hand."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation_oracle import detect, random_gallery

from spnet.evaluation.arrays import EvaluationArrays, confident_detections
from spnet.evaluation.detection import DetectionResult, average_precision, evaluate_detection
from spnet.evaluation.overlaps import paired_iou


def test_random_scenes_agree_with_the_oracle() -> None:
    found = 0
    for seed in range(200):
        arrays, _ = random_gallery(seed)
        for iou_threshold, score_threshold in ((0.5, 0.5), (0.3, 0.7)):
            ours = evaluate_detection(arrays, iou_threshold, score_threshold)
            recall, precision = detect(arrays, iou_threshold, score_threshold)
            assert ours.recall == pytest.approx(recall, abs=1e-12), seed
            assert ours.average_precision == pytest.approx(precision, abs=1e-12), seed
            found += 0 < recall < 1
    assert found > 100


def scene_of(gt: list[list[float]], det: list[list[float]], scores: list[float]) -> EvaluationArrays:
    """One scene with these boxes."""
    return EvaluationArrays(
        image_ids=np.array([3, 4]),
        gt_image=np.full(len(gt), 3),
        gt_box=np.array(gt, float).reshape(-1, 4),
        gt_person=np.arange(len(gt)),
        gt_annotation=np.arange(len(gt)),
        gt_iou_thresh=np.full(len(gt), 0.5),
        gt_emb=np.ones((len(gt), 1)),
        det_image=np.full(len(det), 3),
        det_box=np.array(det, float).reshape(-1, 4),
        det_score=np.array(scores, float),
        det_emb=np.ones((len(det), 1)),
    )


FIRST, SECOND = [0.0, 0, 10, 10], [20.0, 0, 30, 10]


def test_a_box_is_matched_by_its_best_detection_alone() -> None:
    close, exact = [0.0, 0, 10, 9], FIRST
    result = evaluate_detection(scene_of([FIRST, SECOND], [close, exact], [0.9, 0.8]))
    assert result == DetectionResult(recall=0.5, average_precision=0.5 * 0.5)


def test_a_detection_matches_its_best_box_alone() -> None:
    between = [0.0, 0, 10, 8]
    result = evaluate_detection(scene_of([FIRST, between], [between], [0.9]))
    assert result == DetectionResult(recall=0.5, average_precision=0.5)


def test_an_overlap_of_exactly_the_threshold_is_enough() -> None:
    assert evaluate_detection(scene_of([FIRST], [[0, 0, 10, 5]], [0.5])).recall == 1
    assert evaluate_detection(scene_of([FIRST], [[0, 0, 10, 4.99]], [0.5])).recall == 0


def test_nothing_to_find_or_nothing_found() -> None:
    nothing = DetectionResult(0, 0)
    assert evaluate_detection(scene_of([FIRST], [], [])) == nothing
    assert evaluate_detection(scene_of([], [FIRST], [0.9])) == nothing
    assert evaluate_detection(scene_of([FIRST], [FIRST], [0.49])) == nothing


def test_scenes_without_ground_truth_cost_precision() -> None:
    arrays = scene_of([FIRST], [FIRST, FIRST], [0.6, 0.9])
    arrays = replace(arrays, det_image=np.array([3, 4]))
    assert evaluate_detection(arrays) == DetectionResult(recall=1, average_precision=0.5)
    assert evaluate_detection(confident_detections(arrays, 0.7)).recall == 0


def test_equal_scores_stand_at_one_threshold() -> None:
    assert average_precision(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    assert average_precision(np.array([0.5]), np.array([False])) == 0


def test_iou_of_boxes_that_only_touch_is_zero() -> None:
    boxes = np.array([FIRST, FIRST, FIRST], np.float64)
    others = np.array([[10, 0, 20, 10], [5, 0, 15, 10], [12, 12, 14, 14]], np.float64)
    np.testing.assert_allclose(paired_iou(boxes.T, others.T), [0, 1 / 3, 0])
