"""Grouped suppression is torchvision's `nms` of each group by itself: same rows, same order."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import nms

from miniature import random_boxes
from spnet.models import suppression
from spnet.models.suppression import exportable_nms, grouped_nms


def one_by_one(boxes: Tensor, scores: Tensor, group: Tensor, iou_threshold: float) -> Tensor:
    rows = [(group == number).nonzero()[:, 0] for number in group.unique()]
    return torch.cat([part[nms(boxes[part], scores[part], iou_threshold)] for part in rows])


@pytest.mark.parametrize("iou_threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("groups", [1, 7, 200])
@pytest.mark.parametrize("levels", [None, 3])
def test_random_boxes(groups: int, iou_threshold: float, levels: int | None) -> None:
    """With `levels`, boxes lie on a coarse grid and scores tie: exact thresholds, equal boxes, empty boxes."""
    generator = torch.Generator().manual_seed(groups)
    boxes = random_boxes(600, 40, 30, generator)
    scores = torch.rand(600, generator=generator)
    if levels:
        boxes, scores = (boxes / 8).round() * 8, (scores * levels).round()
    group = 3 * torch.randint(0, groups, (600,), generator=generator)  # some have no box
    kept = grouped_nms(boxes, scores, group, iou_threshold)
    assert torch.equal(kept, one_by_one(boxes, scores, group, iou_threshold))
    assert levels is None or (boxes[:, 2:] == boxes[:, :2]).any()


@pytest.mark.parametrize(("width", "threshold"), [(5, 0.5), (3, 0.3), (7, 0.7), (1, 0.1), (9, 0.9)])
def test_an_overlap_of_exactly_the_threshold(width: int, threshold: float) -> None:
    """As torchvision decides it, where 0.3, 0.7 and 0.9 are no float32 numbers."""
    boxes = torch.tensor([[0, 0, 10, 8], [0, 0, width, 8]]).float()
    scores, group = torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64)
    expected = nms(boxes, scores, threshold)
    assert torch.equal(grouped_nms(boxes, scores, group, threshold), expected)
    if threshold == 0.5:
        assert len(expected) == 2


def test_a_chain_in_which_each_box_suppresses_the_next() -> None:
    """As many rounds as boxes: every second one is kept, whatever the groups beside it."""
    start = torch.arange(300).float()[:, None]
    chain = torch.cat([start, start * 0, start + 2.5, start * 0 + 5], dim=1)
    boxes, scores = torch.cat([chain, chain[:7]]), torch.cat([torch.linspace(1, 0, 300), torch.ones(7)])
    group = (torch.arange(307) >= 300).long()
    kept = grouped_nms(boxes, scores, group, 0.4)
    assert torch.equal(kept, one_by_one(boxes, scores, group, 0.4))
    assert kept[:3].tolist() == [0, 2, 4]


def test_far_away_and_large_boxes_are_not_rounded() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = random_boxes(400, 3, 2, generator) + 4000
    scores, group = torch.rand(400, generator=generator), torch.arange(400) % 90 * 10**9
    assert torch.equal(grouped_nms(boxes, scores, group, 0.5), one_by_one(boxes, scores, group, 0.5))


def test_groups_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    boxes, scores = random_boxes(300, 20, 20, generator), torch.rand(300, generator=generator)
    group = torch.randint(0, 40, (300,), generator=generator)
    expected = grouped_nms(boxes, scores, group, 0.5)
    monkeypatch.setattr(suppression, "PAIRS_AT_ONCE", 1)
    assert torch.equal(grouped_nms(boxes, scores, group, 0.5), expected)


def test_no_boxes() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    assert grouped_nms(torch.zeros(0, 4), torch.zeros(0), none, 0.5).shape == (0,)


class Suppression(torch.nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor, group: Tensor, places: Tensor) -> Tensor:
        return exportable_nms(boxes, scores, group, 0.5, places.shape[0], 100)


@pytest.fixture(scope="module")
def traced() -> torch.nn.Module:
    """What torch.export makes of it, for any number of boxes and of groups, whose number is that of `places`."""
    example = (torch.rand(9, 4), torch.rand(9), torch.zeros(9, dtype=torch.int64), torch.zeros(5))
    rows, groups = torch.export.Dim("rows", min=0), torch.export.Dim("groups", min=0)
    shapes = ({0: rows}, {0: rows}, {0: rows}, {0: groups})
    return torch.export.export(Suppression(), example, dynamic_shapes=shapes, strict=False).module()


@pytest.mark.parametrize(("boxes", "groups"), [(0, 0), (0, 2), (1, 1), (90, 1), (300, 20)])
@pytest.mark.parametrize("levels", [None, 3])
def test_a_graph_suppresses_the_same(traced: torch.nn.Module, boxes: int, groups: int, levels: int | None) -> None:
    generator = torch.Generator().manual_seed(boxes)
    table, scores = random_boxes(boxes, 40, 30, generator), torch.rand(boxes, generator=generator)
    if levels:
        table, scores = (table / 8).round() * 8, (scores * levels).round()
    group = torch.randint(0, max(1, groups), (boxes,), generator=generator)
    kept = traced(table, scores, group, torch.zeros(groups))
    assert torch.equal(kept, grouped_nms(table, scores, group, 0.5))


def test_a_graph_follows_a_chain_to_its_end(traced: torch.nn.Module) -> None:
    start = torch.arange(100).float()[:, None]
    chain = torch.cat([start, start * 0, start + 4, start * 0 + 5], dim=1)
    kept = traced(chain, torch.linspace(1, 0, 100), torch.zeros(100, dtype=torch.int64), torch.zeros(1))
    assert torch.equal(kept, torch.arange(0, 100, 2))
