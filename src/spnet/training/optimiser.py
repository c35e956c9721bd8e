"""Parameter groups, AdamW, and the learning rate by step (SPEC section 3; supplementary Table 7, bottom)."""

import math
from collections.abc import Callable

from torch import nn
from torch.optim import AdamW

from spnet.model.network import SPNet
from spnet.training.config import OptimiserConfig

WARMUP_START = 1e-3


def make_optimiser(network: SPNet, config: OptimiserConfig) -> AdamW:
    """AdamW with the trunk as a group of its own; a frozen trunk has none."""
    trunk = set(network.trunk.parameters())
    rest = [parameter for parameter in network.parameters() if parameter not in trunk]
    groups = [{"params": rest, "lr": config.learning_rate, "weight_decay": config.weight_decay, "name": "rest"}]
    if not config.freeze_trunk:
        rate = config.learning_rate if config.trunk_learning_rate is None else config.trunk_learning_rate
        decay = config.weight_decay if config.trunk_weight_decay is None else config.trunk_weight_decay
        groups.append({"params": list(network.trunk.parameters()), "lr": rate, "weight_decay": decay, "name": "trunk"})
    return AdamW(groups)


def freeze(module: nn.Module) -> None:
    """No gradient, no batch statistics, no stochastic depth."""
    module.requires_grad_(False).eval()


def learning_rate_factor(config: OptimiserConfig, epoch_steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: linear warm-up from 1/1000, then a cosine to 0 at the last step."""
    warmup = max(0, min(config.warmup_steps, epoch_steps - 1))
    total = config.epochs * epoch_steps

    def factor(step: int) -> float:
        if step < warmup:
            return WARMUP_START + (1 - WARMUP_START) * step / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

    return factor
