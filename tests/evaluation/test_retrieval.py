"""The search ranking, against the plain oracle and by hand."""

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from evaluation_oracle import random_gallery, search
from torch.utils._python_dispatch import TorchDispatchMode

from spnet.errors import UserError
from spnet.evaluation import retrieval, similarity
from spnet.evaluation.arrays import EvaluationArrays, ground_truth_detections
from spnet.evaluation.protocols import Protocol
from spnet.evaluation.retrieval import RetrievalResult, evaluate


def largest_difference(seeds: range, monkeypatch: pytest.MonkeyPatch) -> float:
    """Between average precisions of ours and the oracle, over both modes and all settings; ranks must be equal."""
    worst = 0.0
    for seed in seeds:
        arrays, protocol = random_gallery(seed)
        monkeypatch.setattr(similarity, "SPARSE", (0, 2)[seed // 2 % 2])  # both ways to multiply
        weighted, chunk = seed % 3 == 0, 1 + seed % 60
        for mode in ("published", "corrected"):
            result = evaluate(arrays, protocol, mode=mode, confidence_weighted=weighted, chunk=chunk)
            precisions, ranks = search(arrays, protocol, mode, weighted)
            worst = max(worst, np.abs(result.average_precisions - precisions).max())
            assert result.first_match_ranks.tolist() == ranks, (seed, mode)
    return worst


def test_random_galleries_agree_with_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert largest_difference(range(300), monkeypatch) < 1e-12


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_ten_thousand_random_galleries_agree_with_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    worst = largest_difference(range(10_000), monkeypatch)
    print(f"largest difference over 10,000 galleries: {worst:.3g}")
    assert worst < 1e-12


def scene_box(place: int) -> list[float]:
    """Boxes of different places do not touch."""
    return [100.0 * place, 0, 100.0 * place + 50, 100]


def search_of(
    annotated: list[tuple[int, int, int]], detected: list[tuple[int, int, float]], scenes: int = 4
) -> EvaluationArrays:
    """Annotated boxes as (scene, place, person), detections as (scene, place, cosine to every annotated box)."""
    gt, det = np.array(annotated), np.array(detected).reshape(-1, 3)
    cosine = det[:, 2]
    return EvaluationArrays(
        image_ids=np.arange(scenes),
        gt_image=gt[:, 0],
        gt_box=np.array([scene_box(place) for place in gt[:, 1]]),
        gt_person=gt[:, 2],
        gt_annotation=10 + np.arange(len(gt)),
        gt_iou_thresh=np.full(len(gt), 0.5),
        gt_emb=np.tile(np.array([1, 0], np.float32), (len(gt), 1)),
        det_image=det[:, 0].astype(int),
        det_box=np.array([scene_box(int(place)) for place in det[:, 1]]).reshape(-1, 4),
        det_score=np.ones(len(det)),
        det_emb=np.stack([cosine, np.sqrt(1 - cosine**2)], axis=1).astype(np.float32),
    )


QUERY = (0, 0, 7)  # annotation 10: person 7 in scene 0


def first_query(arrays: EvaluationArrays, protocol: Protocol | None = None, **options: Any) -> tuple[float, int]:
    result = evaluate(arrays, protocol or Protocol(np.array([10])), **options)
    return float(result.average_precisions[0]), int(result.first_match_ranks[0])


def test_a_search_by_hand() -> None:
    annotated = [QUERY, (1, 0, 7), (2, 0, 7), (3, 0, 8)]
    detected = [(1, 0, 0.9), (3, 0, 0.8), (2, 0, 0.7), (2, 1, 0.1)]
    assert first_query(search_of(annotated, detected)) == pytest.approx(((1 / 1 + 2 / 3) / 2, 1))


def test_a_person_never_detected_costs_recall() -> None:
    annotated = [QUERY, (1, 0, 7), (2, 0, 7)]
    assert first_query(search_of(annotated, [(1, 0, 0.9)])) == (0.5, 1)


def test_the_own_scene_is_skipped_even_when_listed() -> None:
    arrays = search_of([QUERY, (1, 0, 7)], [(0, 0, 1.0), (0, 1, 0.99), (1, 0, 0.9)])
    for scenes in (np.array([0, 1]), np.array([1])):
        assert first_query(arrays, Protocol(np.array([10]), scenes)) == (1, 1)
        assert first_query(arrays, Protocol(np.array([10]), None, (scenes,))) == (1, 1)


def test_only_the_most_similar_of_several_detections_on_a_box_is_a_match() -> None:
    arrays = search_of([QUERY, (1, 0, 7)], [(1, 0, 0.5), (1, 0, 0.9), (1, 0, 0.7)])
    assert first_query(arrays) == (1, 1)


def test_a_scene_listed_twice_counts_twice_in_published_only() -> None:
    arrays = search_of([QUERY, (1, 0, 7), (2, 0, 7)], [(1, 0, 0.9), (2, 1, 0.1)])
    listed = Protocol(np.array([10]), np.array([1, 1, 2]))
    assert first_query(arrays, listed, mode="published")[0] == pytest.approx(1 / 3)
    assert first_query(arrays, listed, mode="corrected")[0] == pytest.approx(1 / 2)


def test_a_person_twice_in_a_scene_is_found_twice_in_corrected_only() -> None:
    arrays = search_of([QUERY, (1, 1, 7), (1, 0, 7)], [(1, 0, 0.9), (1, 1, 0.8), (2, 0, 0.7)])
    assert first_query(arrays, mode="published") == (0.5, 2)  # the first box of the file decides: place 1
    assert first_query(arrays, mode="corrected") == (1, 1)


def test_two_boxes_of_a_person_cannot_be_found_by_one_detection() -> None:
    arrays = search_of([QUERY, (1, 0, 7), (1, 0, 7)], [(1, 0, 0.9)])
    assert first_query(arrays, mode="corrected") == (0.5, 1)


def test_tied_detections_share_a_threshold_and_come_before_the_match() -> None:
    arrays = search_of([QUERY, (1, 0, 7)], [(1, 0, 0.5), (2, 0, 0.5), (3, 0, 0.5)])
    assert first_query(arrays) == pytest.approx((1 / 3, 3))


def test_equal_embeddings_tie_in_any_place_and_number() -> None:
    random = np.random.default_rng(0)
    one = random.standard_normal((1, 37), np.float32)
    arrays = search_of([QUERY, (1, 0, 7)], [(1, 0, 0.5)] + [(2, 0, 0.5)] * 300)
    arrays = replace(arrays, gt_emb=random.standard_normal((2, 37), np.float32), det_emb=np.repeat(one, 301, axis=0))
    assert first_query(arrays) == pytest.approx((1 / 301, 301))


def test_queries_without_a_match_score_nothing() -> None:
    for detected in ([], [(1, 1, 0.9)], [(0, 0, 1.0)]):
        assert first_query(search_of([QUERY, (1, 0, 7)], detected)) == (0, 0)
    nowhere_else = search_of([QUERY, (1, 0, 8)], [(1, 0, 0.9)])
    assert first_query(nowhere_else) == (0, 0)


def test_an_empty_gallery_scores_nothing() -> None:
    arrays = search_of([QUERY, (1, 0, 7)], [(1, 0, 0.9)])
    empty = np.empty(0, np.int64)
    assert first_query(arrays, Protocol(np.array([10]), empty)) == (0, 0)
    assert first_query(arrays, Protocol(np.array([10]), None, (empty,))) == (0, 0)


def test_detections_of_low_score_are_left_out() -> None:
    arrays = search_of([QUERY, (1, 0, 7)], [(1, 0, 0.9), (2, 0, 0.95)])
    arrays = replace(arrays, det_score=np.array([0.5, 0.4999]))
    assert first_query(arrays) == (1, 1)
    assert first_query(arrays, score_threshold=0.4) == (0.5, 2)


def test_scores_weigh_similarities() -> None:
    arrays = search_of([QUERY, (1, 0, 7)], [(1, 0, 0.9), (2, 0, 0.95)])
    arrays = replace(arrays, det_score=np.array([0.9, 0.6]))
    assert first_query(arrays) == (0.5, 2)
    assert first_query(arrays, confidence_weighted=True) == (1, 1)


def test_ground_truth_boxes_are_perfect_detections() -> None:
    arrays, protocol = random_gallery(5)
    result = evaluate(arrays, protocol, ground_truth=True)
    perfect = evaluate(ground_truth_detections(arrays), protocol)
    np.testing.assert_array_equal(result.average_precisions, perfect.average_precisions)
    assert result.mean_average_precision > 0


def test_top_k_counts_queries_found_by_then() -> None:
    result = RetrievalResult(np.arange(4), np.zeros(4), np.array([1, 5, 6, 0]))
    assert [result.top(k) for k in (1, 5, 10)] == [0.25, 0.5, 0.75]


def test_unknown_choices_are_refused() -> None:
    arrays, protocol = random_gallery(0)
    with pytest.raises(UserError, match="mode is 'strict'; choose one of published, corrected"):
        evaluate(arrays, protocol, mode="strict")  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(UserError, match="chunk is 0"):
        evaluate(arrays, protocol, chunk=0)


@pytest.mark.parametrize("block", [1, 7, 2**17])
@pytest.mark.parametrize("few", [0, 1 / 128, 1])
def test_counts_are_those_of_plain_comparisons(block: int, few: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ties, infinities, thresholds that nothing reaches and thresholds that are missing (NaN)."""
    monkeypatch.setattr(retrieval, "BLOCK", block)
    monkeypatch.setattr(retrieval, "FEW", few)
    random = np.random.default_rng(0)
    values = random.integers(-3, 4, (9, 50)).astype(np.float32)
    values[:, 40:] = -np.inf
    thresholds = random.integers(-4, 6, (9, 5)).astype(np.float32)
    thresholds[random.random(thresholds.shape) < 0.3] = np.nan
    thresholds[3] = np.nan
    expected = (values[:, None, :] >= thresholds[:, :, None]).sum(axis=2)
    np.testing.assert_array_equal(retrieval.count_at_least(torch.from_numpy(values), thresholds), expected)
    by_level = retrieval.count_by_level(torch.from_numpy(values), torch.from_numpy(thresholds))
    np.testing.assert_array_equal(by_level.numpy(), expected)


def test_counting_nothing() -> None:
    assert retrieval.count_at_least(torch.zeros(3, 4), np.zeros((3, 0), np.float32)).shape == (3, 0)
    np.testing.assert_array_equal(retrieval.count_at_least(torch.zeros(2, 0), np.zeros((2, 1), np.float32)), [[0], [0]])


class SortedNumbers(TorchDispatchMode):
    """How many numbers NumPy and torch sort, rank or partition, called as functions or as methods."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.total = 0

    def __enter__(self) -> "SortedNumbers":
        TorchDispatchMode.__enter__(self)
        sys.setprofile(self._called)  # methods of arrays cannot be patched
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        TorchDispatchMode.__exit__(self, *error)

    def _called(self, frame: FrameType, event: str, function: Any) -> None:
        array = getattr(function, "__self__", None)
        if event == "c_call" and isinstance(array, np.ndarray) and is_sort(function.__name__):
            self.total += array.size

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_sort(function._schema.name):
            self.total += args[0].numel()
        return function(*args, **(kwargs or {}))


def is_sort(name: str) -> bool:
    return any(word in name for word in ("sort", "partition", "topk", "kthvalue", "unique"))


@pytest.mark.parametrize(
    "sort",
    [
        lambda values: values.sort(axis=1),
        lambda values: np.sort(values, axis=1),
        lambda values: np.argsort(values, axis=1),
        lambda values: np.partition(values, 2, axis=1),
        lambda values: torch.from_numpy(values).sort(dim=1),
        lambda values: torch.argsort(torch.from_numpy(values), dim=1),
        lambda values: torch.from_numpy(values).topk(2),
    ],
)
def test_sorted_numbers_are_counted(sort: Callable[[npt.NDArray[np.float32]], object]) -> None:
    with SortedNumbers() as numbers:
        sort(np.ones((3, 5), np.float32))
    assert numbers.total == 15


@pytest.mark.parametrize("sparse", [0, 2])
def test_rows_of_similarities_are_not_sorted(sparse: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The speed of a sort differs between CPUs by a factor of ten: only lists of detections and matches are sorted."""
    monkeypatch.setattr(similarity, "SPARSE", sparse)  # both ways to multiply
    random = np.random.default_rng(0)
    boxes = [(scene, place, place) for scene in range(10) for place in range(100)]
    arrays = search_of(boxes, [(scene, place, random.random()) for scene, place, _ in boxes], scenes=10)
    protocol = Protocol(arrays.gt_annotation, None, (arrays.image_ids,) * len(boxes))
    with SortedNumbers() as numbers:
        result = evaluate(arrays, protocol)
    assert (result.first_match_ranks > 0).all()
    assert 0 < numbers.total < len(boxes) * len(arrays.det_box) / 10
