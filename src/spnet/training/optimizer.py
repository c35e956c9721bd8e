"""Parameter groups, AdamW, and the learning rate by step (supplementary Table 7, bottom)."""

import math
from collections.abc import Callable

from torch import nn
from torch.optim import AdamW

from spnet.config.schema import OptimizerConfig
from spnet.models.spnet import SPNet

WARMUP_START = 1e-3


def make_optimizer(network: SPNet, config: OptimizerConfig, fused: bool = False) -> AdamW:
    """AdamW with the backbone as a group of its own; a frozen backbone has none.

    Args:
        network: what is trained.
        config: rates and decays.
        fused: one kernel for all parameters, which asks the device nothing; not for use with loss scaling.
    """
    backbone = set(network.backbone.parameters())
    rest = [parameter for parameter in network.parameters() if parameter not in backbone]
    groups = [{"params": rest, "lr": config.lr, "weight_decay": config.weight_decay, "name": "rest"}]
    if not config.freeze_backbone:
        rate = config.lr if config.backbone_lr is None else config.backbone_lr
        decay = config.weight_decay if config.backbone_weight_decay is None else config.backbone_weight_decay
        groups.append(
            {"params": list(network.backbone.parameters()), "lr": rate, "weight_decay": decay, "name": "backbone"}
        )
    return AdamW(groups, fused=fused or None)  # None keeps the default of torch; False would not


def freeze(module: nn.Module) -> None:
    """No gradient, no batch statistics, no stochastic depth."""
    module.requires_grad_(False).eval()


def lr_factor(config: OptimizerConfig, epoch_steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: linear warm-up from 1/1000, then a cosine to 0 at the last step."""
    warmup = max(0, min(config.warmup_steps, epoch_steps - 1))
    total = config.epochs * epoch_steps

    def factor(step: int) -> float:
        if step < warmup:
            return WARMUP_START + (1 - WARMUP_START) * step / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

    return factor
