"""Matching of anchors, against torchvision's Matcher, scene by scene and pair by pair."""

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from miniature import make_targets, random_boxes
from spnet.models.matching import BACKGROUND, IGNORED, match_pairs, match_scenes
from spnet.types import Groups, Targets


def torchvision_labels(boxes: Tensor, anchors: Tensor, rows: Tensor) -> Tensor:
    """Of one scene: the row of the matched target, BACKGROUND or IGNORED."""
    if len(boxes) == 0:
        return torch.full((len(anchors),), BACKGROUND)
    found = Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, anchors))
    return torch.where(found >= 0, rows[found.clamp(min=0)], found)


def naive_labels(boxes: Tensor, anchors: Tensor, rows: Tensor) -> Tensor:
    """The same by hand."""
    labels = []
    iou = box_iou(boxes, anchors).tolist()
    for anchor in range(len(anchors)):
        column = [row[anchor] for row in iou]
        best = max(column, default=0.0)
        label = BACKGROUND if best < 0.4 else IGNORED if best < 0.5 else int(rows[column.index(best)])
        if any(row[anchor] == max(row) and max(row) > 0 for row in iou):
            label = int(rows[column.index(best)])
        labels.append(label)
    return torch.tensor(labels)


def random_targets(seed: int, boxes: int, scenes: int) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    scene = torch.randint(scenes, (boxes,), generator=generator).sort().values
    person = torch.arange(boxes)
    return Targets(random_boxes(boxes, 100, 80, generator), scene, person, person)


@pytest.fixture
def anchors() -> Tensor:
    return random_boxes(400, 100, 80, torch.Generator().manual_seed(9))


@pytest.mark.parametrize(("seed", "boxes", "scenes"), [(0, 12, 4), (1, 1, 1), (2, 3, 6), (3, 30, 2)])
def test_scenes_are_matched_like_one_at_a_time(seed: int, boxes: int, scenes: int, anchors: Tensor) -> None:
    targets = random_targets(seed, boxes, scenes)
    labels = match_scenes(anchors, targets, scenes)
    assert labels.shape == (scenes, 400)
    for scene in range(scenes):
        rows = (targets.scene == scene).nonzero()[:, 0]
        assert torch.equal(labels[scene], torchvision_labels(targets.boxes[rows], anchors, rows))
        assert torch.equal(labels[scene], naive_labels(targets.boxes[rows], anchors, rows))
    assert (labels == IGNORED).any() or boxes < 12


def test_ties_go_to_the_first_box_and_every_best_anchor_is_kept() -> None:
    box = (10, 10, 20, 20)
    targets = make_targets([(0, (50, 50, 60, 60), 1, -1), (0, box, 2, -1), (0, box, 3, -1)])
    poor = [(14, 10, 34, 20), (0, 10, 16, 20)]  # IoU 6/24 and 6/20 with the twins
    far = [(58, 58, 70, 70), (58, 58, 70, 70)]  # the same poor overlap twice
    anchors = torch.tensor([box, *poor, *far], dtype=torch.float32)
    assert match_scenes(anchors, targets, 1).tolist() == [[1, BACKGROUND, BACKGROUND, 0, 0]]
    assert match_scenes(anchors[1:], targets, 1).tolist() == [[BACKGROUND, 1, 0, 0]]
    rows = torch.arange(3)
    assert torch.equal(match_scenes(anchors, targets, 1)[0], torchvision_labels(targets.boxes, anchors, rows))


def test_the_thresholds_themselves_belong_to_the_upper_class() -> None:
    targets = make_targets([(0, (0, 0, 10, 10), 1, -1)])
    widths = (3.9, 4, 4.9, 5, 10)  # IoU is the width over 10; the last is the box's best anchor
    anchors = torch.tensor([[0, 0, width, 10] for width in widths], dtype=torch.float32)
    expected = [BACKGROUND, IGNORED, IGNORED, 0, 0]
    assert match_scenes(anchors, targets, 1).tolist() == [expected]
    first = torch.zeros(1, dtype=torch.int64)
    groups = Groups(first, first, first, torch.ones(1, dtype=torch.bool))
    assert match_pairs(anchors, targets, groups).tolist() == [expected]


def test_a_box_that_no_anchor_touches_claims_none() -> None:
    targets = make_targets([(0, (500, 500, 510, 510), 1, -1), (0, (5, 5, 5, 5), 2, -1)])
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    assert match_scenes(anchors, targets, 1).tolist() == [[BACKGROUND, BACKGROUND]]


def test_without_boxes_everything_is_background(anchors: Tensor) -> None:
    nothing = make_targets([])
    assert (match_scenes(anchors, nothing, 3) == BACKGROUND).all()
    none = torch.zeros(0, dtype=torch.int64)
    groups = Groups(none, none, none, torch.zeros(0, dtype=torch.bool))
    assert match_pairs(anchors, nothing, groups).shape == (0, 400)


def test_pairs_are_matched_with_their_person_alone(anchors: Tensor) -> None:
    targets = random_targets(0, 12, 4)
    target = torch.tensor([3, -1, 0, 11, -1, 3])
    groups = Groups(targets.scene[target.clamp(min=0)], torch.zeros_like(target), target, target > -2)
    labels = match_pairs(anchors, targets, groups)
    for pair, row in enumerate(target.tolist()):
        rows = torch.tensor([row] if row >= 0 else [], dtype=torch.int64)
        assert torch.equal(labels[pair], torchvision_labels(targets.boxes[rows], anchors, rows))
