"""FixedNorm's moments and properties (supplementary section 9.2), and logits of either sign."""

import math

import pytest
import torch
from scipy.stats import chi

from miniature import make_config
from spnet.models.logits import NormLogit, chi_moments, offset_norm
from spnet.models.norm import FP32BatchNorm1d


@pytest.mark.parametrize("dims", [2, 8, 128, 2048, 65536])
def test_moments_are_those_of_the_chi_distribution(dims: int) -> None:
    mean, deviation = chi_moments(dims)
    assert mean == pytest.approx(chi.mean(dims), rel=1e-9)
    # by itself scipy loses the deviation to cancellation where the mean is large
    assert deviation == pytest.approx(chi.std(dims) if dims <= 128 else math.sqrt(0.5), rel=1e-3)


def test_moments_approach_those_of_many_dimensions() -> None:
    mean, deviation = chi_moments(2048)
    assert mean == pytest.approx(math.sqrt(2048 - 0.5), rel=1e-6)
    assert deviation == pytest.approx(math.sqrt(0.5), rel=1e-3)


@pytest.mark.parametrize("dims", [8, 128, 2048])
def test_unit_normal_offsets_give_mean_0_and_variance_1(dims: int) -> None:
    offsets = torch.randn(20_000, dims, generator=torch.Generator().manual_seed(0))
    z = NormLogit(make_config(location_dim=dims, heads="separate"))(offset_norm(offsets))
    assert z.mean().item() == pytest.approx(0, abs=0.03)
    assert z.var().item() == pytest.approx(1, abs=0.04)


def test_a_small_norm_is_a_match_with_the_negative_sign() -> None:
    norms = torch.tensor([0.0, 1, 5])
    negative = NormLogit(make_config())(norms)
    assert negative[0] > negative[1] > negative[2]
    torch.testing.assert_close(NormLogit(make_config(logit_sign="positive"))(norms), -negative)
    mean, deviation = chi_moments(8)
    assert negative[1].item() == pytest.approx(-(1 - mean) / deviation, rel=1e-6)


@pytest.mark.parametrize("sign", ["negative", "positive"])
def test_batch_logits_normalize_the_norms_of_the_batch(sign: str) -> None:
    logit = NormLogit(make_config(logit_norm="batch", logit_sign=sign))
    norms = torch.rand(3, 50, generator=torch.Generator().manual_seed(0)) * 7
    expected = (norms - norms.mean()) / (norms.var(correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(logit(norms), expected if sign == "positive" else -expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 7), (0,), (1,), (1, 1)])
def test_batch_logits_of_fewer_than_two_norms_use_running_statistics(shape: tuple[int, ...]) -> None:
    logit = NormLogit(make_config(logit_norm="batch"))
    logit(torch.rand(4, 5))
    assert logit.norm is not None
    mean = logit.norm.get_buffer("running_mean").fill_(2.0)
    before = mean.clone()
    norms = torch.full(shape, 3.0, requires_grad=True)
    logits = logit(norms)
    assert logits.shape == shape
    assert (logits < 0).all()
    logits.sum().backward()
    assert torch.equal(logit.norm.get_buffer("running_mean"), before)


def test_norm_of_offsets_has_a_finite_gradient_at_zero() -> None:
    offsets = torch.zeros(2, 8, requires_grad=True)
    offset_norm(offsets).sum().backward()
    assert offsets.grad is not None
    assert torch.isfinite(offsets.grad).all()


def test_norm_of_half_precision_is_summed_in_float32() -> None:
    offsets = torch.full((1, 2048), 300.0, dtype=torch.float16)  # its square is beyond float16
    assert offset_norm(offsets).item() == pytest.approx(300 * math.sqrt(2048), rel=1e-6)


def test_observed_statistics_are_those_of_a_batch_norm_in_training() -> None:
    torch.manual_seed(0)
    ours, theirs = FP32BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    for _ in range(3):
        norms, valid = 3 + torch.randn(40), torch.rand(40) < 0.6
        ours.observe(norms[:, None], valid)
        theirs(norms[valid][:, None])
    for name, value in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), value, msg=name)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_is_learnt_from_fewer_than_two(count: int) -> None:
    norm = FP32BatchNorm1d(1)
    norm.observe(torch.full((5, 1), 7.0), torch.arange(5) < count)
    assert (norm.get_buffer("running_mean").item(), norm.get_buffer("running_var").item()) == (0, 1)
    assert norm.get_buffer("num_batches_tracked").item() == 0
