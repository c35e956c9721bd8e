"""Detections along both paths: what a batch gives is what each scene gives, whatever its company."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from miniature import make_batch, make_config, make_network
from spnet.config.schema import InferenceConfig
from spnet.models.boxes import clip, decode
from spnet.models.inference import detect_all, detect_pairs, detect_queries
from spnet.models.logits import NormLogit
from spnet.models.spnet import SPNet
from spnet.types import Detections

NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "cascade, shared": {"cascade_steps": 2},
    "cascade, separate": {"cascade_steps": 2, "heads": "separate", "reid_dim": 12},
    "positive": {"logit_sign": "positive"},
}
SIZES = torch.tensor([[64, 96], [40, 96], [64, 50]])


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> SPNet:
    return make_network(**NETWORKS[request.param]).eval()


def detect(network: SPNet, images: Tensor, sizes: Tensor, queries: Tensor | None) -> Detections:
    features = network.features(images, sizes)
    return detect_all(network, features) if queries is None else detect_queries(network, features, queries)


def make_queries(network: SPNet) -> Tensor:
    batch = make_batch()
    with torch.no_grad():
        return network.location_embed(
            1, network.features(batch.images, batch.sizes), batch.targets.boxes, batch.targets.scene
        )


def assert_same(ours: Detections, rows: Tensor, theirs: Detections) -> None:
    assert int(rows.sum()) == len(theirs.boxes) > 0
    torch.testing.assert_close(ours.boxes[rows], theirs.boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours.scores[rows], theirs.scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.embeddings[rows], theirs.embeddings, rtol=1e-3, atol=1e-4)


def test_scenes_of_different_sizes_do_not_touch_one_another(network: SPNet) -> None:
    batch = make_batch()
    together = detect(network, batch.images, SIZES, None)
    for scene in range(3):
        alone = detect(network, batch.images[scene : scene + 1], SIZES[scene : scene + 1], None)
        assert_same(together, together.scene == scene, alone)
    assert together.query.unique().tolist() == [0]


def test_queries_do_not_touch_one_another(network: SPNet) -> None:
    batch, queries = make_batch(), make_queries(network)
    together = detect(network, batch.images, SIZES, queries)
    for scene in range(3):
        for query in range(len(queries)):
            alone = detect(
                network, batch.images[scene : scene + 1], SIZES[scene : scene + 1], queries[query : query + 1]
            )
            assert_same(together, (together.scene == scene) & (together.query == query), alone)


def test_all_pairs_at_once_are_those_one_by_one(network: SPNet) -> None:
    batch, queries = make_batch(), make_queries(network)
    features = network.features(batch.images, SIZES)
    found = detect_queries(network, features, queries)
    together = detect_pairs(network, features, queries)
    assert torch.equal(together.scene, found.scene)
    assert torch.equal(together.query, found.query)
    assert_same(together, torch.ones_like(together.scene, dtype=torch.bool), found)
    few = detect_all(network, features, torch.tensor(0.9))
    every = detect_all(network, features)
    assert 0 < len(few.boxes) < len(every.boxes)


def test_boxes_lie_in_their_image_and_come_best_first(network: SPNet) -> None:
    batch = make_batch()
    for queries in (None, make_queries(network)):
        found = detect(network, batch.images, SIZES, queries)
        limits = SIZES[found.scene].flip(1).repeat(1, 2)
        assert (found.boxes >= 0).all()
        assert (found.boxes <= limits).all()
        assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
        group = found.scene * 100 + found.query
        assert (group.diff() >= 0).all()
        assert (found.scores.diff()[group.diff() == 0] <= 0).all()
        assert (found.scores[:5] > 0.5).all() or network.config.cascade_steps > 0
        for number in group.unique():
            overlap = box_iou(found.boxes[group == number], found.boxes[group == number]).fill_diagonal_(0)
            assert overlap.max() <= 0.5 + 1e-6


def naive_everyone(network: SPNet, images: Tensor, sizes: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Boxes and scores of each scene without a cascade: nearest anchors, threshold, best, decode, clip, suppress."""
    config = network.config.inference
    features = network.features(images, sizes)
    anchors = network.anchor_table(features)
    result = []
    for scene, embeddings in enumerate(anchors.embeddings):
        offsets = network.bridges[0](embeddings) - embeddings
        scores = network.logits[0](offsets.norm(dim=1)).sigmoid()
        order = scores.argsort(descending=True)[: config.object_pre_nms_topk]
        order = order[scores[order] > config.score_threshold][: config.max_detections]
        boxes = decode(network.boxes[0](offsets[order]), anchors.boxes[order])
        boxes = clip(boxes, sizes[scene].expand(len(order), 2))
        kept: list[int] = []
        for row in range(len(order)):
            empty = bool((boxes[row, 2:] <= boxes[row, :2]).any())
            if not empty and (not kept or box_iou(boxes[row : row + 1], boxes[kept]).max() <= config.nms_iou):
                kept.append(row)
        result.append((boxes[kept], scores[order][kept]))
    return result


@pytest.mark.parametrize(
    "settings",
    [
        InferenceConfig(),
        InferenceConfig(object_pre_nms_topk=20),
        InferenceConfig(max_detections=7),
        InferenceConfig(score_threshold=0.8, nms_iou=0.2),
    ],
)
@torch.no_grad()
def test_everyone_is_the_loop(settings: InferenceConfig) -> None:
    network = make_network().eval()
    network.config = replace(network.config, inference=settings)
    batch = make_batch()
    found = detect(network, batch.images, SIZES, None)
    for scene, (boxes, scores) in enumerate(naive_everyone(network, batch.images, SIZES)):
        torch.testing.assert_close(found.boxes[found.scene == scene], boxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.scores[found.scene == scene], scores)


def test_each_query_keeps_its_own_nearest_anchors() -> None:
    network = make_network().eval()
    network.config = replace(network.config, inference=InferenceConfig(query_pre_nms_topk=3, nms_iou=1.0))
    batch, queries = make_batch(), make_queries(network)
    with torch.no_grad():
        found = detect(network, batch.images, batch.sizes, queries)
        anchors = network.anchor_table(network.features(batch.images, batch.sizes))
    for scene in range(3):
        for query in range(len(queries)):
            distances = (queries[query] - anchors.embeddings[scene]).norm(dim=1)
            expected = network.logits[0](distances.sort().values[:3]).sigmoid()
            torch.testing.assert_close(found.scores[(found.scene == scene) & (found.query == query)], expected)


def test_scores_that_round_to_one_rank_by_their_logits() -> None:
    """A constant more in every logit of the last step changes scores alone: which boxes are kept does not change."""
    network = make_network(cascade_steps=1).eval()
    batch, last = make_batch(), cast(NormLogit, network.logits[1])
    expected = detect(network, batch.images, SIZES, None)
    last.mean += 40 * last.deviation
    found = detect(network, batch.images, SIZES, None)
    assert (found.scores == 1).all()
    torch.testing.assert_close(found.boxes, expected.boxes)


def test_nothing_is_found_where_nothing_scores(network: SPNet) -> None:
    network.config = replace(network.config, inference=InferenceConfig(score_threshold=0.9999))
    batch = make_batch()
    for queries in (None, make_queries(network)):
        found = detect(network, batch.images, batch.sizes, queries)
        assert found.boxes.shape == (0, 4)
        assert found.embeddings.shape == (0, network.config.reid_dim)
        assert len(found.scores) == len(found.scene) == len(found.query) == 0


@pytest.mark.parametrize("logits", ["fixed", "batch"])
def test_no_queries_find_nothing(logits: str) -> None:
    network = make_network(logit_norm=logits, cascade_steps=1).eval()
    batch = make_batch()
    found = detect(network, batch.images, batch.sizes, torch.zeros(0, 8))
    assert found.boxes.shape == (0, 4)
    assert found.embeddings.shape == (0, 8)


def test_many_pairs_are_suppressed_at_their_exact_place() -> None:
    """Pairs are moved apart to be suppressed at once: a thousand of them, in float32, would lie on a coarse grid."""
    network = make_network().eval()
    network.config = replace(network.config, inference=InferenceConfig(nms_iou=0.7))
    batch = make_batch(scenes=1, rows=[], size=(32, 1024))
    near, far = make_queries(network), torch.full((1500, 8), 100.0)
    alone = detect(network, batch.images, batch.sizes, near)
    crowded = detect(network, batch.images, batch.sizes, torch.cat([far, near]))
    assert crowded.query.min() >= 1500
    assert 50 < len(alone.boxes) < 1000
    assert len(crowded.boxes) == len(alone.boxes)
    torch.testing.assert_close(crowded.boxes, alone.boxes, rtol=1e-4, atol=1e-3)


def test_inference_takes_no_gradient_and_leaves_no_trace() -> None:
    network = make_network(logit_norm="batch").eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    batch = make_batch()
    found = detect(network, batch.images, batch.sizes, None)
    assert not found.embeddings.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert make_config().inference == InferenceConfig()
