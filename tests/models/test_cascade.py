"""The flat table of candidates and what a cascade step makes of it, against loops over candidates."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from miniature import ROWS, make_batch, make_network, make_targets, random_boxes
from spnet.models.boxes import clip
from spnet.models.cascade import CascadeStage, gather_candidates, rematch, train_steps
from spnet.models.heads import AnchorTable
from spnet.models.matching import BACKGROUND, IGNORED
from spnet.models.pathways import ObjectPathway, QueryPathway, scene_groups
from spnet.types import Candidates, Groups, Targets


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def make_candidates(boxes: Tensor, group: list[int], groups: Groups) -> Candidates:
    rows = torch.tensor(group)
    everything = torch.ones(len(rows), dtype=torch.bool)
    return Candidates(
        boxes=boxes,
        offsets=torch.zeros(len(rows), 8),
        group=rows,
        scene=groups.scene[rows],
        query=groups.query[rows],
        target=groups.target[rows],
        positive=~everything,
        valid=everything,
    )


def naive_match(boxes: Tensor, rows: list[list[int]], fallback: list[int], targets: Targets) -> list[tuple[bool, int]]:
    """Of every box, whether it is foreground and its target: torchvision's matcher without low-quality matches."""
    result = []
    for box, mine, otherwise in zip(boxes, rows, fallback, strict=True):
        found = Matcher(0.5, 0.5)(box_iou(targets.boxes[mine], box[None])).item() if mine else -1
        result.append((True, mine[int(found)]) if found >= 0 else (False, otherwise))
    return result


def test_gathered_candidates_say_where_they_come_from(generator: torch.Generator) -> None:
    anchors = AnchorTable(
        random_boxes(6, 90, 60, generator), torch.randn(2, 6, 8, generator=generator), torch.ones(2, 2)
    )
    path = QueryPathway(torch.randn(3, 8, generator=generator))
    valid = torch.tensor([True, True, False])
    groups = Groups(torch.tensor([1, 0, 1]), torch.tensor([2, 0, 1]), torch.tensor([4, -1, 2]), valid)
    matches = torch.full((3, 6), BACKGROUND)
    matches[0, 5], matches[0, 2], matches[1, 3] = 4, IGNORED, 1
    index, chosen = torch.tensor([[5, 2], [3, 0], [1, 1]]), torch.tensor([[True, False], [True, True], [True, True]])
    table = gather_candidates(path, anchors, groups, index, chosen, matches)
    assert table.group.tolist() == [0, 0, 1, 1, 2, 2]
    assert table.scene.tolist() == [1, 1, 0, 0, 1, 1]
    assert table.query.tolist() == [2, 2, 0, 0, 1, 1]
    assert table.target.tolist() == [4, 4, 1, -1, 2, 2]
    assert table.positive.tolist() == [True, False, True, False, False, False]
    assert table.valid.tolist() == [True, False, True, True, False, False]
    torch.testing.assert_close(table.boxes, anchors.boxes[[5, 2, 3, 0, 1, 1]])
    torch.testing.assert_close(table.offsets[0], path.queries[2] - anchors.embeddings[1, 5])
    torch.testing.assert_close(table.offsets[3], path.queries[0] - anchors.embeddings[0, 0])


def test_object_centric_boxes_are_matched_within_their_scene_and_annotated_ones_join(
    generator: torch.Generator,
) -> None:
    targets = make_targets(ROWS)
    path = ObjectPathway(nn.ModuleList())
    groups = path.training_groups(targets, 4)
    boxes = torch.cat([targets.boxes + torch.randn(5, 4, generator=generator) * 4, random_boxes(15, 90, 60, generator)])
    group = [0, 0, 1, 1, 2] + [n % 4 for n in range(15)]
    order = torch.tensor(group).argsort(stable=True)
    candidates = make_candidates(boxes[order], sorted(group), groups)
    matched = rematch(path, candidates, groups, targets)
    assert len(matched.boxes) == 20 + 5
    assert matched.group.tolist() == matched.scene.tolist() == sorted(group + targets.scene.tolist())
    for scene in range(4):
        mine = (targets.scene == scene).nonzero()[:, 0].tolist()
        rows = matched.scene == scene
        torch.testing.assert_close(
            matched.boxes[rows], torch.cat([candidates.boxes[candidates.scene == scene], targets.boxes[mine]])
        )
        count = int(rows.sum())
        expected = naive_match(matched.boxes[rows], [mine] * count, [mine[0] if mine else -1] * count, targets)
        assert list(zip(matched.positive[rows].tolist(), matched.target[rows].tolist(), strict=True)) == expected
    assert matched.positive.sum() > 5
    assert matched.valid.all()


def test_query_centric_boxes_are_matched_with_their_pairs_person_alone(generator: torch.Generator) -> None:
    targets = make_targets(ROWS)
    groups = Groups(torch.tensor([0, 1, 2]), torch.tensor([2, 0, 0]), torch.tensor([0, 2, -1]), torch.ones(3).bool())
    near = targets.boxes + torch.randn(5, 4, generator=generator) * 2
    candidates = make_candidates(near.repeat(3, 1), [0] * 5 + [1] * 5 + [2] * 5, groups)
    matched = rematch(QueryPathway(torch.zeros(5, 8)), candidates, groups, targets)
    mine = [[0]] * 5 + [[2]] * 5 + [[]] * 5
    expected = naive_match(candidates.boxes, mine, [0] * 5 + [2] * 5 + [-1] * 5, targets)
    assert list(zip(matched.positive.tolist(), matched.target.tolist(), strict=True)) == expected
    assert 2 <= matched.positive.sum() <= 6


def test_half_of_the_union_is_enough_to_be_foreground() -> None:
    targets = make_targets([(0, (0, 0, 10, 10), 1, 0)])
    path = ObjectPathway(nn.ModuleList())
    boxes = torch.tensor([[0.0, 0, 10, 5], [0, 0, 10, 4.9], [0, 0, 10, 19], [0, 0, 10, 21]])
    matched = rematch(
        path, make_candidates(boxes, [0] * 4, path.training_groups(targets, 1)), scene_groups(1, boxes.device), targets
    )
    assert matched.positive.tolist() == [True, False, True, False, True]


def test_candidates_that_nothing_fills_stay_so(generator: torch.Generator) -> None:
    targets = make_targets(ROWS)
    path = ObjectPathway(nn.ModuleList())
    groups = path.training_groups(targets, 3)
    candidates = make_candidates(random_boxes(3, 90, 60, generator), [0, 1, 2], groups)
    matched = rematch(path, replace(candidates, valid=torch.zeros(3, dtype=torch.bool)), groups, targets)
    assert matched.valid.tolist() == [False, True, True, False, True, True, False, True]


@pytest.mark.parametrize("heads", ["shared", "separate"])
@pytest.mark.parametrize("path_name", ["object", "query"])
def test_each_step_starts_from_the_clipped_boxes_of_the_one_before(heads: str, path_name: str) -> None:
    network = make_network(heads=heads, cascade_steps=2).eval()
    batch = make_batch()
    features = network.features(batch.images, batch.sizes)
    targets = batch.targets
    queries = network.location_embed(1, features, targets.boxes, targets.scene)
    path = network.object_pathway(16) if path_name == "object" else network.query_pathway(queries, 6, 8)
    groups = path.training_groups(targets, 3)
    anchors = network.anchor_table(features)
    distances, matches = path.distances(anchors, groups), path.match(anchors, targets, groups)
    index, valid = path.sample_anchors(matches, distances, anchors, targets, groups)
    first = gather_candidates(path, anchors, groups, index, valid, matches)
    steps = train_steps(network, path, features, first, groups, targets)
    assert len(steps) == 3
    assert steps[0].logits is None
    for number in (1, 2):
        before, step = steps[number - 1], steps[number]
        check_step(number, before, step, features.sizes, path_name == "object")
        rows = step.candidates
        embeddings = network.location_embed(number, features, rows.boxes, rows.scene)
        asked = network.bridges[number](embeddings) if path_name == "object" else queries[rows.query]
        torch.testing.assert_close(rows.offsets, asked - embeddings)
        assert step.logits is not None
        torch.testing.assert_close(step.logits, network.logits[number](rows.offsets.norm(dim=1)))


def check_step(number: int, before: CascadeStage, step: CascadeStage, sizes: Tensor, joined: bool) -> None:
    expected = clip(before.decoded, sizes[before.candidates.scene])
    assert not step.candidates.boxes.requires_grad
    assert step.decoded.requires_grad
    if joined:
        assert len(step.candidates.boxes) == len(expected) + 5
        assert {tuple(box) for box in expected.tolist()} <= {tuple(box) for box in step.candidates.boxes.tolist()}
    else:
        torch.testing.assert_close(step.candidates.boxes, expected)


def test_without_boxes_all_is_background(generator: torch.Generator) -> None:
    nothing = make_targets([])
    groups = scene_groups(2, torch.device("cpu"))
    candidates = make_candidates(random_boxes(4, 90, 60, generator), [0, 0, 1, 1], groups)
    matched = rematch(ObjectPathway(nn.ModuleList()), candidates, groups, nothing)
    assert not matched.positive.any()
    assert matched.target.tolist() == [-1] * 4
