"""From the norm of an offset embedding to a class logit (supplementary section 9.2, Table 9)."""

import math

import torch
from torch import Tensor, nn

from spnet.config.schema import ModelConfig
from spnet.models.norm import FP32BatchNorm1d


def chi_moments(dims: int) -> tuple[float, float]:
    """Mean and standard deviation of the Chi distribution with `dims` degrees of freedom (supplementary eq. 4).

    Log-gamma, so that it does not overflow; the deviation's cancellation is why this is float64.
    """
    mean = math.sqrt(2) * math.exp(math.lgamma((dims + 1) / 2) - math.lgamma(dims / 2))
    return mean, math.sqrt(dims - mean * mean)


class NormLogit(nn.Module):
    """z from w = |x_o|: FixedNorm z = -(w - mean) / deviation (eq. 3), or BatchNorm of w; with either sign."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.sign = -1.0 if config.logit_sign == "negative" else 1.0
        self.mean, self.deviation = chi_moments(config.location_dim)
        self.norm = FP32BatchNorm1d(1) if config.logit_norm == "batch" else None

    def observe(self, norms: Tensor, valid: Tensor) -> None:
        """Let BatchNorm's running statistics follow the valid (M,) of norms (M,), for logits at test time."""
        if self.norm is not None:
            self.norm.observe(norms[:, None], valid)

    def forward(self, norms: Tensor) -> Tensor:
        """Norms of any shape -> logits of the same shape, float32."""
        norms = norms.float()
        if self.norm is None:
            return self.sign * (norms - self.mean) / self.deviation
        normalized: Tensor = self.norm(norms.reshape(-1, 1))
        return self.sign * normalized.reshape(norms.shape)


def offset_norm(offsets: Tensor) -> Tensor:
    """|x_o| in float32, its gradient zero where x_o is: (..., D) -> (...)."""
    norms: Tensor = torch.linalg.vector_norm(offsets.float(), dim=-1)
    return norms
