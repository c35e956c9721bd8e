"""Random draws: how many, of what, and never what must not be sampled."""

import pytest
import torch
from torch import Tensor

from miniature import make_targets
from spnet.models.matching import BACKGROUND, IGNORED
from spnet.models.sampling import count_duplicates, sample_balanced, sample_pairs
from spnet.types import Targets

BOX = (0, 0, 10, 10)


def draw(matches: Tensor, count: int) -> list[set[int]]:
    """The anchors sampled of each scene."""
    index, valid = sample_balanced(matches, count)
    assert index.shape == valid.shape == (len(matches), min(count, matches.shape[1]))
    sampled = [row[kept].tolist() for row, kept in zip(index, valid, strict=True)]
    assert all(len(set(row)) == len(row) and row == sorted(row) for row in sampled)
    return [set(row) for row in sampled]


def make_matches(positives: int, ignored: int, background: int) -> Tensor:
    labels = torch.tensor([0] * positives + [IGNORED] * ignored + [BACKGROUND] * background)
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


# positives, ignored, background, count -> positives and negatives sampled
@pytest.mark.parametrize(
    ("positives", "ignored", "background", "count", "expected"),
    [
        (50, 20, 100, 32, (16, 16)),  # at most half positive
        (3, 20, 100, 32, (3, 29)),  # the rest is filled with negatives
        (50, 20, 5, 32, (16, 5)),  # too few negatives: positives do not take their places
        (0, 20, 100, 32, (0, 32)),
        (7, 5, 10, 22, (7, 10)),  # everything that counts
        (7, 5, 10, 1000, (7, 10)),
        (20, 0, 2, 22, (11, 2)),
        (5, 0, 5, 1, (0, 1)),
        (5, 0, 5, 0, (0, 0)),
    ],
)
def test_balanced_counts(positives: int, ignored: int, background: int, count: int, expected: tuple[int, int]) -> None:
    matches = torch.stack([make_matches(positives, ignored, background)] * 3)
    torch.manual_seed(0)
    for row, sampled in zip(matches, draw(matches, count), strict=True):
        labels = row[list(sampled)]
        assert (int((labels >= 0).sum()), int((labels == BACKGROUND).sum())) == expected
        assert not (labels == IGNORED).any()


def test_every_anchor_has_the_same_chance() -> None:
    matches = torch.stack([make_matches(20, 5, 40)] * 2000)
    torch.manual_seed(0)
    index, valid = sample_balanced(matches, 10)
    times = torch.zeros(65).index_add(0, index[valid], torch.ones(int(valid.sum())))
    assert (times[matches[0] >= 0] / 2000 - 5 / 20).abs().max() < 0.05
    assert (times[matches[0] == BACKGROUND] / 2000 - 5 / 40).abs().max() < 0.05


def naive_kinds(targets: Targets, scenes: int) -> dict[tuple[int, int], int]:
    """Of every usable (scene, query): kind 1 the person by another box, 2 the query's own box, 3 nobody."""
    kinds = {}
    for scene in range(scenes):
        there = targets.person[targets.scene == scene].tolist()
        for query, (person, home) in enumerate(zip(targets.person.tolist(), targets.scene.tolist(), strict=True)):
            if there.count(person) <= 1:
                kinds[scene, query] = 2 if home == scene else 1 if person in there else 3
    return kinds


def random_people(seed: int, boxes: int, scenes: int) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    scene = torch.randint(scenes, (boxes,), generator=generator).sort().values.tolist()
    person = torch.randint(boxes // 2, (boxes,), generator=generator) + 2**24  # beyond what float32 can count
    return make_targets([(s, BOX, p, -1) for s, p in zip(scene, person.tolist(), strict=True)])


@pytest.mark.parametrize("count", [1, 5, 20, 60, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_pairs_come_in_the_papers_priorities(seed: int, count: int) -> None:
    targets = random_people(seed, boxes=14, scenes=5)
    kinds = naive_kinds(targets, 5)
    torch.manual_seed(seed)
    groups = sample_pairs(targets, 5, count)
    assert len(groups.scene) == min(count, 5 * 14)
    sampled = [
        (s, q) for s, q, v in zip(*map(Tensor.tolist, (groups.scene, groups.query, groups.valid)), strict=True) if v
    ]
    assert len(set(sampled)) == len(sampled) == min(count, len(kinds))
    assert sorted(kinds[pair] for pair in sampled) == sorted(kinds.values())[: len(sampled)]


@pytest.mark.parametrize("seed", range(5))
def test_a_pairs_target_is_the_persons_only_box_in_the_scene(seed: int) -> None:
    targets = random_people(seed, boxes=14, scenes=5)
    groups = sample_pairs(targets, 5, 1000)
    for scene, query, target, valid in zip(*map(Tensor.tolist, vars(groups).values()), strict=True):
        same = (targets.scene == scene) & (targets.person == targets.person[query])
        if valid:
            assert same.nonzero()[:, 0].tolist() == ([target] if target >= 0 else [])
        else:
            assert same.sum() > 1


def test_pairs_of_one_kind_are_drawn_at_random() -> None:
    targets = make_targets([(0, BOX, 1, -1), (1, BOX, 2, -1)])
    torch.manual_seed(0)
    sampled = [sample_pairs(targets, 2, 1) for _ in range(200)]
    own = sum(int(groups.scene) == int(groups.query) == 0 for groups in sampled)
    assert all(int(groups.scene) == int(groups.query) for groups in sampled)
    assert 70 < own < 130


def test_a_person_twice_in_a_scene_is_no_query_for_it_wherever_the_box_is() -> None:
    targets = make_targets([(0, BOX, 7, -1), (0, BOX, 7, -1), (0, BOX, 8, -1), (1, BOX, 7, -1)])
    groups = sample_pairs(targets, 2, 100)
    pairs = {
        (s, q) for s, q, v in zip(*map(Tensor.tolist, (groups.scene, groups.query, groups.valid)), strict=True) if v
    }
    assert pairs == {(0, 2), (1, 0), (1, 1), (1, 2), (1, 3)}
    assert int(count_duplicates(targets, 2)) == 2
    assert int(count_duplicates(make_targets([(0, BOX, 7, -1), (1, BOX, 7, -1)]), 2)) == 0


def test_without_boxes_there_are_no_pairs() -> None:
    nothing = make_targets([])
    assert len(sample_pairs(nothing, 3, 32).scene) == 0
    assert int(count_duplicates(nothing, 3)) == 0
