"""Parameter groups and the learning rate by step, to docs/method.md, "Training", and supplementary Table 7."""

import math

import pytest
import torch

from miniature import make_network
from spnet.config.presets import get_preset
from spnet.config.schema import OptimizerConfig
from spnet.training.optimizer import freeze, lr_factor, make_optimizer

UNIFORM = OptimizerConfig()
MIXED = get_preset("spnet-s", "pretrain").optimizer
FROZEN = OptimizerConfig(freeze_backbone=True)


def groups(config: OptimizerConfig) -> dict[str, tuple[float, float, int]]:
    """Learning rate, weight decay and numbers of each group."""
    network = make_network()
    optimizer = make_optimizer(network, config)
    return {
        group["name"]: (group["lr"], group["weight_decay"], sum(p.numel() for p in group["params"]))
        for group in optimizer.param_groups
    }


def test_every_parameter_is_in_one_group() -> None:
    network = make_network()
    optimizer = make_optimizer(network, MIXED)
    parameters = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert len(parameters) == len(set(parameters))
    assert set(parameters) == {id(parameter) for parameter in network.parameters()}


def test_uniform_mixed_and_frozen() -> None:
    network = make_network()
    backbone = sum(parameter.numel() for parameter in network.backbone.parameters())
    rest = sum(parameter.numel() for parameter in network.parameters()) - backbone
    assert groups(UNIFORM) == {"rest": (1e-4, 5e-4, rest), "backbone": (1e-4, 5e-4, backbone)}
    assert groups(MIXED) == {"rest": (1e-4, 1e-3, rest), "backbone": (1e-5, 0.0, backbone)}
    assert groups(FROZEN) == {"rest": (1e-4, 5e-4, rest)}


def test_the_backbone_is_the_backbone_alone() -> None:
    """Table 7's backbone is without pyramid and heads; the region head's copy of its last stage is a head."""
    network = make_network()
    optimizer = make_optimizer(network, MIXED)
    rest = {id(parameter) for parameter in optimizer.param_groups[0]["params"]}
    for module in (network.fpn, network.reid, network.anchors):
        assert {id(parameter) for parameter in module.parameters()} <= rest


def test_the_fused_kernel_steps_as_the_plain_one() -> None:
    """It is for GPUs, and there on CPUs too."""
    updated = []
    for fused in (False, True):
        network = make_network()
        optimizer = make_optimizer(network, UNIFORM, fused)
        assert bool(optimizer.defaults["fused"]) is fused
        for parameter in network.parameters():
            parameter.grad = parameter.detach() * 0.1 + 0.01
        optimizer.step()
        updated.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    torch.testing.assert_close(*updated, rtol=1e-5, atol=1e-7)


def test_frozen_means_no_gradient_and_no_statistics() -> None:
    network = make_network().train()
    freeze(network.backbone)
    assert not any(parameter.requires_grad for parameter in network.backbone.parameters())
    assert not any(module.training for module in network.backbone.modules())
    assert network.fpn.training


def test_warm_up_is_linear_from_a_thousandth() -> None:
    factor = lr_factor(OptimizerConfig(epochs=30, warmup_steps=1000), 1400)
    assert factor(0) == pytest.approx(1 / 1000)
    assert factor(1) == pytest.approx(0.001 + 0.999 / 1000)
    assert factor(500) == pytest.approx(0.5005)
    assert factor(999) == pytest.approx(0.001 + 0.999 * 0.999)
    assert factor(1000) == 1


def test_the_cosine_reaches_zero_at_the_last_step() -> None:
    factor = lr_factor(OptimizerConfig(epochs=30, warmup_steps=1000), 1400)
    total = 30 * 1400
    middle = 1000 + (total - 1000) // 2
    assert factor(middle) == pytest.approx(0.5)
    assert factor(1000 + (total - 1000) // 4) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert 0 < factor(total - 1) < 1e-8
    assert factor(total) == pytest.approx(0, abs=1e-15)
    assert factor(total + 5) == factor(total)  # Lightning asks once more after the last step


def test_it_never_rises_after_the_warm_up() -> None:
    factor = lr_factor(OptimizerConfig(epochs=3, warmup_steps=20), 50)
    values = [factor(step) for step in range(151)]
    assert values[:21] == sorted(values[:21])
    assert values[20:] == sorted(values[20:], reverse=True)


@pytest.mark.parametrize(("epoch_steps", "warmup"), [(1400, 1000), (1001, 1000), (1000, 999), (300, 299), (2, 1)])
def test_warm_up_is_at_most_an_epoch_less_a_step(epoch_steps: int, warmup: int) -> None:
    factor = lr_factor(OptimizerConfig(epochs=2), epoch_steps)
    assert factor(warmup) == 1
    assert factor(warmup - 1) < 1
    assert factor(0) == pytest.approx(0.001)


def test_an_epoch_of_one_step_has_no_warm_up() -> None:
    factor = lr_factor(OptimizerConfig(epochs=1), 1)
    assert factor(0) == 1
    assert factor(1) == 0
