"""Learning without forgetting, against a loop over scenes and classes."""

import math

import pytest
import torch

from spnet.losses.distillation import distillation_loss


def softmax(row: list[float], temperature: float) -> list[float]:
    exponentials = [math.exp(value / temperature) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def test_it_is_the_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    student, initial = torch.randn(4, 10, generator=generator), torch.randn(4, 10, generator=generator)
    expected = 0.0
    for ours, theirs in zip(student.tolist(), initial.tolist(), strict=True):
        pairs = zip(softmax(theirs, 2.0), softmax(ours, 2.0), strict=True)
        expected -= sum(wanted * math.log(given) for wanted, given in pairs) / 4
    assert distillation_loss(student, initial).item() == pytest.approx(expected, rel=1e-5)


def test_no_gradient_where_nothing_is_forgotten() -> None:
    initial = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    student = initial.clone().requires_grad_()
    distillation_loss(student, initial).backward()
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-7
    moved = (initial + torch.eye(3, 5)).requires_grad_()
    distillation_loss(moved, initial).backward()
    assert moved.grad is not None
    assert (moved.grad.diagonal() > 0).all()


def test_half_precision_is_summed_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    student, initial = torch.randn(2, 1000, generator=generator), torch.randn(2, 1000, generator=generator)
    half = distillation_loss(student.bfloat16(), initial.bfloat16())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(distillation_loss(student, initial).item(), rel=1e-3)
