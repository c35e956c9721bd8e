"""The swap: distances by the expanded square, and which anchors train, against naive loops."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou

from miniature import make_targets, random_boxes
from spnet.models.heads import AnchorTable
from spnet.models.matching import BACKGROUND
from spnet.models.pathways import ObjectPathway, QueryPathway, pair_distances, query_groups, scene_groups
from spnet.types import Groups, Targets


def make_groups(scene: list[int], query: list[int], target: list[int] | None = None) -> Groups:
    target = [-1] * len(scene) if target is None else target
    valid = torch.ones(len(scene), dtype=torch.bool)
    return Groups(torch.tensor(scene), torch.tensor(query), torch.tensor(target), valid)


def direct(queries: Tensor, embeddings: Tensor, groups: Groups) -> Tensor:
    rows = [(queries[q] - embeddings[s]).norm(dim=1) for s, q in zip(groups.scene.tolist(), groups.query.tolist())]  # noqa: B905
    return torch.stack(rows)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def as_table(embeddings: Tensor) -> AnchorTable:
    """Anchors with these embeddings (B, A, D), all at one place."""
    return AnchorTable(torch.zeros(embeddings.shape[1], 4), embeddings, torch.ones(len(embeddings), 2))


# out of order, a query in several scenes, a scene without a pair, the same pair twice
GROUPS = make_groups([2, 0, 2, 0, 0, 2], [1, 1, 0, 3, 2, 1])


@pytest.mark.parametrize("dims", [3, 128])
def test_pair_distances_equal_the_subtraction(dims: int, generator: torch.Generator) -> None:
    queries = torch.randn(4, dims, generator=generator) - 4.6  # where anchor embeddings begin
    embeddings = torch.randn(3, 17, dims, generator=generator) - 4.6
    ours = pair_distances(queries, as_table(embeddings), GROUPS)
    torch.testing.assert_close(ours, direct(queries, embeddings, GROUPS), rtol=1e-4, atol=1e-4)


def test_their_gradient_equals_the_subtractions(generator: torch.Generator) -> None:
    queries = torch.randn(4, 8, generator=generator, requires_grad=True)
    embeddings = torch.randn(3, 17, 8, generator=generator, requires_grad=True)
    weights = torch.randn(6, 17, generator=generator)
    distances = pair_distances(queries, as_table(embeddings), GROUPS)
    ours = torch.autograd.grad((distances * weights).sum(), (queries, embeddings))
    theirs = torch.autograd.grad((direct(queries, embeddings, GROUPS) * weights).sum(), (queries, embeddings))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_gradient_of_no_distance_is_finite() -> None:
    queries, embeddings = torch.ones(1, 8, requires_grad=True), torch.ones(1, 2, 8, requires_grad=True)
    distances = pair_distances(queries, as_table(embeddings), make_groups([0], [0]))
    distances.sum().backward()
    assert distances.max() < 1e-3
    assert queries.grad is not None
    assert torch.isfinite(queries.grad).all()


def test_autocast_does_not_touch_distances(generator: torch.Generator) -> None:
    queries = torch.randn(4, 128, generator=generator) - 4.6
    anchors = as_table(torch.randn(3, 17, 128, generator=generator) - 4.6)
    expected = QueryPathway(queries).distances(anchors, GROUPS)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(QueryPathway(queries).distances(anchors, GROUPS), expected)


def test_no_pairs_have_no_distances() -> None:
    groups = query_groups(torch.zeros(0, dtype=torch.int64))
    assert pair_distances(torch.zeros(0, 8), as_table(torch.zeros(1, 5, 8)), groups).shape == (0, 5)


def test_a_scenes_anchors_have_the_same_distances(generator: torch.Generator) -> None:
    anchors = as_table(torch.randn(3, 17, 8, generator=generator))
    queries, rows = torch.randn(4, 8, generator=generator), torch.arange(4)
    alone = pair_distances(queries, anchors.of_scene(2), query_groups(rows))
    torch.testing.assert_close(alone, pair_distances(queries, anchors, make_groups([2] * 4, rows.tolist())))


def test_query_groups_are_of_one_scene() -> None:
    groups = query_groups(torch.tensor([4, 0, 7]))
    assert groups.query.tolist() == [4, 0, 7]
    assert groups.scene.tolist() == [0, 0, 0]
    assert groups.target.tolist() == [-1, -1, -1]
    assert groups.valid.all()


def test_object_path_subtracts_anchors_from_what_the_bridge_predicts(generator: torch.Generator) -> None:
    bridges = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
    embeddings = torch.randn(2, 5, 8, generator=generator)
    path = ObjectPathway(bridges)
    distances = path.distances(as_table(embeddings), scene_groups(2, embeddings.device))
    torch.testing.assert_close(distances, (bridges[0](embeddings) - embeddings).norm(dim=2))
    rows, query = embeddings[0], torch.zeros(5, dtype=torch.int64)
    torch.testing.assert_close(path.offsets(1, rows, query), bridges[1](rows) - rows)


def test_object_path_compares_background_with_the_scenes_first_box() -> None:
    targets = make_targets([(1, (0, 0, 5, 5), 1, -1), (1, (0, 0, 6, 6), 2, -1), (3, (0, 0, 7, 7), 3, -1)])
    assert ObjectPathway(nn.ModuleList()).training_groups(targets, 4).target.tolist() == [-1, 0, -1, 2]
    assert ObjectPathway(nn.ModuleList()).training_groups(make_targets([]), 2).target.tolist() == [-1, -1]


def naive_choice(boxes: Tensor, anchors: Tensor, distances: Tensor, groups: Groups, samples: int) -> list[set[int]]:
    """Of each pair: half by overlap and half by distance, or all by distance where the person is absent."""
    choice = []
    for pair, target in enumerate(groups.target.tolist()):
        closest: list[int] = []
        if target >= 0:
            overlap = generalized_box_iou(boxes[target][None], anchors)[0]
            closest = sorted(range(len(anchors)), key=lambda a: -float(overlap[a]))[: samples // 2]
        rest = [anchor for anchor in range(len(anchors)) if anchor not in closest]
        nearest = sorted(rest, key=lambda a: float(distances[pair, a]))[: samples - len(closest)]
        choice.append({*closest, *nearest})
    return choice


@pytest.mark.parametrize("samples", [1, 8, 13, 39, 40, 500])
def test_query_path_chooses_by_overlap_and_distance(samples: int, generator: torch.Generator) -> None:
    anchors = AnchorTable(
        random_boxes(40, 90, 60, generator), torch.randn(3, 40, 8, generator=generator), torch.ones(3, 2)
    )
    targets = make_targets([(0, box, n, -1) for n, box in enumerate(random_boxes(4, 90, 60, generator).tolist())])
    groups = make_groups([0, 1, 2, 2, 0], [0, 1, 2, 3, 3], [0, -1, 2, 3, -1])
    path = QueryPathway(torch.randn(4, 8, generator=generator), 5, samples)
    distances = path.distances(anchors, groups)
    matches = torch.full((5, 40), BACKGROUND)
    index, valid = path.sample_anchors(matches, distances, anchors, targets, groups)
    assert index.shape == (5, min(samples, 40))
    assert valid.all()
    assert [set(row) for row in index.tolist()] == naive_choice(
        targets.boxes, anchors.boxes, distances, groups, min(samples, 40)
    )


def test_query_path_without_boxes_chooses_nothing() -> None:
    path = QueryPathway(torch.zeros(0, 8), 32, 64)
    nothing = make_targets([])
    groups = path.training_groups(nothing, 2)
    anchors = as_table(torch.zeros(2, 5, 8))
    matches = path.match(anchors, nothing, groups)
    index, valid = path.sample_anchors(matches, path.distances(anchors, groups), anchors, nothing, groups)
    assert index.shape == valid.shape == (0, 5)


def test_rivals_are_the_scenes_boxes_or_the_pairs_own() -> None:
    targets = make_targets([(0, (0, 0, 5, 5), 1, -1), (0, (0, 0, 6, 6), 2, -1), (1, (0, 0, 7, 7), 1, -1)])
    scene, group = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2])
    groups = make_groups([0, 1, 1], [2, 0, 1], [0, 2, -1])
    everyone = ObjectPathway(nn.ModuleList()).match_mask(scene, group, targets, groups)
    assert everyone.tolist() == [[True, True, False], [False, False, True], [False, False, True]]
    own = QueryPathway(torch.zeros(3, 8)).match_mask(scene, group, targets, groups)
    assert own.tolist() == [[True, False, False], [False, False, True], [False, False, False]]


def test_query_path_pairs_its_own_queries(generator: torch.Generator) -> None:
    path = QueryPathway(torch.randn(3, 8, generator=generator), 4, 8)
    targets: Targets = make_targets([(0, (0, 0, 5, 5), 1, -1), (1, (0, 0, 6, 6), 1, -1), (1, (0, 0, 9, 9), 2, -1)])
    groups = path.training_groups(targets, 2)
    embeddings = torch.randn(4, 8, generator=generator)
    torch.testing.assert_close(path.offsets(0, embeddings, groups.query), path.queries[groups.query] - embeddings)
