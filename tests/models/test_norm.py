"""BatchNorm of rows, against torch's own where that works, and where it does not."""

import pytest
import torch
from torch import nn

from spnet.models.norm import FP32BatchNorm1d


@pytest.mark.parametrize("count", [2, 5])
def test_two_rows_and_more_are_torchs(count: int) -> None:
    ours, theirs = FP32BatchNorm1d(3, affine=False), nn.BatchNorm1d(3, affine=False)
    rows = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(rows), theirs(rows))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    torch.testing.assert_close(ours.eval()(rows), theirs.eval()(rows))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_rows_use_running_statistics_and_leave_them(count: int) -> None:
    norm = FP32BatchNorm1d(3, affine=False)
    norm(torch.randn(5, 3))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    rows = torch.randn(count, 3, requires_grad=True)
    result = norm(rows)
    result.sum().backward()
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    torch.testing.assert_close(result, (rows - mean) / (variance + norm.eps).sqrt())
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_half_precision_is_normalized_in_float32() -> None:
    norm = FP32BatchNorm1d(2, affine=False)
    rows = (1000 + torch.randn(64, 2, generator=torch.Generator().manual_seed(0))).half()
    result = norm(rows)
    assert result.dtype == torch.float32
    assert result.mean().abs() < 1e-3
