"""Batch normalization of rows that also works where a batch has none, or one: a scene without boxes is no error."""

import torch
from torch import Tensor, nn

from spnet import distributed


class FP32BatchNorm1d(nn.BatchNorm1d):
    """BatchNorm1d in float32, over the rows of all processes.

    Fewer than two rows take the running statistics (docs/method.md, "Network"). Rows that are not finite count in no
    statistics: they would stay there for the rest of a run. `nn.SyncBatchNorm` does neither, and runs on GPUs alone.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """(R, C) -> (R, C) float32."""
        rows = rows.float()
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        if self.training:
            count, own_mean, own_variance = _moments(rows, torch.ones_like(rows[:, 0], dtype=torch.bool))
            self._follow(count, own_mean, own_variance)
            mean, variance = torch.where(count > 1, own_mean, mean), torch.where(count > 1, own_variance, variance)
        normalized = (rows - mean) * (variance + self.eps).rsqrt()
        return normalized * self.weight + self.bias if self.affine else normalized

    @torch.no_grad()
    def observe(self, rows: Tensor, valid: Tensor) -> None:
        """Let the running statistics follow the valid rows (R,) of (R, C), without waiting for how many they are."""
        self._follow(*_moments(rows.float(), valid))

    @torch.no_grad()
    def _follow(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        share = torch.where(count > 1, self.momentum or 0.0, 0.0)
        self.get_buffer("running_mean").lerp_(mean, share)
        self.get_buffer("running_var").lerp_(variance * count / (count - 1).clamp(min=1), share)
        self.get_buffer("num_batches_tracked").add_(count > 1)


def _moments(rows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many valid rows (R,) of (R, C) are finite, in all processes, their mean (C,) and variance (C,)."""
    counted = (valid & rows.isfinite().all(1))[:, None]
    sums = torch.cat([torch.where(counted, rows, 0).sum(0), counted.sum(0)])
    sums = distributed.reduce_sum(sums)
    count = sums[-1].detach()
    mean = sums[:-1] / count.clamp(min=1)
    squares = torch.where(counted, rows - mean, 0).square().sum(0)
    return count, mean, distributed.reduce_sum(squares) / count.clamp(min=1)
