"""Losses of detection, against loops over anchors and candidates."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou

from spnet.losses.detection import anchor_focal_loss, cascade_bce_loss, giou_loss


def softplus(value: float) -> float:
    return math.log1p(math.exp(-abs(value))) + max(value, 0.0)


def naive_focal(logits: Tensor, positive: Tensor, counted: Tensor, alpha: float, gamma: float) -> float:
    total, positives = 0.0, 0
    for z, p, c in zip(logits.flatten().tolist(), positive.flatten().tolist(), counted.flatten().tolist(), strict=True):
        if not c:
            continue
        probability = 1 / (1 + math.exp(-z))
        if p:
            positives += 1
            total += alpha * (1 - probability) ** gamma * softplus(-z)
        else:
            total += (1 - alpha) * probability**gamma * softplus(z)
    return total / max(1, positives)


@pytest.mark.parametrize("gamma", [1.0, 2.0])
def test_anchor_class_loss_is_the_loop(gamma: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 50, generator=generator) * 4
    positive = torch.rand(3, 50, generator=generator) < 0.2
    counted = torch.rand(3, 50, generator=generator) < 0.7
    expected = naive_focal(logits, positive, counted, 0.3, gamma)
    assert anchor_focal_loss(logits, positive, counted, 0.3, gamma).item() == pytest.approx(expected, rel=1e-5)


def test_anchor_class_loss_without_positives_is_the_sum() -> None:
    logits = torch.tensor([[0.5, -1.0]])
    nothing, everything = torch.zeros(1, 2, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)
    expected = naive_focal(logits, nothing, everything, 0.5, 1.0)
    assert anchor_focal_loss(logits, nothing, everything).item() == pytest.approx(expected)


def test_ignored_anchors_give_no_gradient() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    positive, counted = torch.tensor([[True, True, False]]), torch.tensor([[True, False, False]])
    anchor_focal_loss(logits, positive, counted).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0
    assert logits.grad[0, 1:].tolist() == [0, 0]


def test_step_class_loss_is_the_loop() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(40, generator=generator) * 3
    positive, valid = torch.rand(40, generator=generator) < 0.3, torch.rand(40, generator=generator) < 0.8
    rows = [(z, p) for z, p, v in zip(logits.tolist(), positive.tolist(), valid.tolist(), strict=True) if v]
    expected = sum(softplus(-z if p else z) for z, p in rows) / max(1, sum(p for _, p in rows))
    assert cascade_bce_loss(logits, positive, valid).item() == pytest.approx(expected, rel=1e-5)


def test_step_class_loss_pulls_up_positives_and_down_the_rest() -> None:
    logits = torch.zeros(3, requires_grad=True)
    cascade_bce_loss(logits, torch.tensor([True, False, True]), torch.tensor([True, True, False])).backward()
    assert logits.grad is not None
    assert logits.grad.sign().tolist() == [-1, 1, 0]


def test_box_loss_is_one_minus_generalized_iou_of_positives() -> None:
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(20, 2, generator=generator) * 50
    decoded = torch.cat([corner, corner + 5 + torch.rand(20, 2, generator=generator) * 30], 1)
    targets = decoded.roll(1, 0)
    positive = torch.arange(20) % 3 == 0
    expected = [1 - generalized_box_iou(decoded[i : i + 1], targets[i : i + 1]).item() for i in range(0, 20, 3)]
    assert giou_loss(decoded, targets, positive).item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_box_loss_moves_positives_alone_even_beside_boxes_without_area() -> None:
    decoded = torch.tensor([[0.0, 0, 10, 10], [5, 5, 5, 5], [0, 0, 0, 0]], requires_grad=True)
    targets = torch.tensor([[2.0, 2, 12, 12], [0, 0, 0, 0], [0, 0, 0, 0]])
    loss = giou_loss(decoded, targets, torch.tensor([True, False, False]))
    loss.backward()
    assert decoded.grad is not None
    assert torch.isfinite(decoded.grad).all()
    assert decoded.grad[0].abs().sum() > 0
    assert decoded.grad[1:].abs().sum() == 0


def test_nothing_gives_zero_that_goes_backward() -> None:
    mask = torch.zeros(0, dtype=torch.bool)
    logits, boxes = torch.zeros(0, requires_grad=True), torch.zeros(0, 4, requires_grad=True)
    anchors = torch.zeros(0, 7, requires_grad=True)
    total = cascade_bce_loss(logits, mask, mask) + giou_loss(boxes, boxes.detach(), mask)
    total = total + anchor_focal_loss(anchors, torch.zeros(0, 7, dtype=torch.bool), torch.zeros(0, 7, dtype=torch.bool))
    assert total.item() == 0
    total.backward()
