"""Batch normalization of rows that also works where a batch has none, or one: a scene without boxes is no error."""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm


class FP32BatchNorm1d(nn.BatchNorm1d):
    """BatchNorm1d in float32; fewer than two rows take the running statistics (docs/method.md, "Network")."""

    def forward(self, rows: Tensor) -> Tensor:
        """(R, C) -> (R, C) float32."""
        if len(rows) > 1:
            return super().forward(rows.float())
        return batch_norm(rows.float(), self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    @torch.no_grad()
    def observe(self, rows: Tensor, valid: Tensor) -> None:
        """Let the running statistics follow the valid rows (R,) of (R, C), without waiting for how many they are."""
        count = valid.sum()
        weight = valid[:, None] / count.clamp(min=1)
        mean = (rows.float() * weight).sum(0)
        variance = ((rows.float() - mean).square() * weight).sum(0) * count / (count - 1).clamp(min=1)
        share = torch.where(count > 1, self.momentum or 0.0, 0.0)
        self.get_buffer("running_mean").lerp_(mean, share)
        self.get_buffer("running_var").lerp_(variance, share)
        self.get_buffer("num_batches_tracked").add_(count > 1)
