"""Batch normalization of rows that also works where a batch has none, or one: a scene without boxes is no error."""

from torch import Tensor, nn
from torch.nn.functional import batch_norm


class FP32BatchNorm1d(nn.BatchNorm1d):
    """BatchNorm1d in float32; where fewer than two rows have no variance, its running statistics (SPEC section 2)."""

    def forward(self, rows: Tensor) -> Tensor:
        """(R, C) -> (R, C) float32."""
        if len(rows) > 1:
            return super().forward(rows.float())
        return batch_norm(rows.float(), self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
