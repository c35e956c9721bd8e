"""Architectures that cannot be built are the user's mistake; what is built has the parts its configuration names."""

from typing import Any

import pytest
import torch
from torch import Tensor

from miniature import BACKBONE, make_batch, make_config, make_network
from spnet.config.schema import BackboneConfig
from spnet.errors import UserError
from spnet.models.heads import LocationHead
from spnet.models.spnet import SPNet


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reid_dim": 16}, r"reid_dim 16 .*location_dim 8.*separate"),
        ({"location_dim": 1, "reid_dim": 1}, r"location_dim 1 must be at least 2"),
        ({"heads": "separate", "reid_dim": 0}, r"reid_dim 0 must be at least 2"),
        ({"anchor_size": 0}, r"anchor_size 0 must be at least 2"),
        ({"cascade_steps": -1}, r"cascade_steps -1 must be 0 or more"),
    ],
)
def test_contradictions_are_the_users_mistake(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SPNet(make_config(**changes))


@pytest.mark.parametrize(
    ("heads", "cascade_steps", "locations", "steps"),
    [("shared", 0, 0, 1), ("shared", 2, 0, 3), ("separate", 0, 1, 1), ("separate", 2, 2, 3)],
)
def test_parts_follow_the_configuration(heads: str, cascade_steps: int, locations: int, steps: int) -> None:
    network = SPNet(make_config(heads=heads, cascade_steps=cascade_steps))
    assert len(network.locations) == locations
    assert len(network.bridges) == len(network.logits) == len(network.boxes) == steps
    for bridge in network.bridges:
        assert all(not parameter.any() for parameter in bridge.parameters())


def test_shared_heads_locate_with_the_reid_head_and_separate_ones_with_their_own() -> None:
    batch = make_batch()
    places = batch.targets.boxes, batch.targets.scene
    shared = make_network(cascade_steps=2).eval()
    features = shared.features(batch.images, batch.sizes)
    for step in (1, 2):
        torch.testing.assert_close(shared.location_embed(step, features, *places), shared.embed(features, *places))
    separate = make_network(heads="separate", cascade_steps=2, reid_dim=12).eval()
    features = separate.features(batch.images, batch.sizes)
    first, second = separate.location_embed(1, features, *places), separate.location_embed(2, features, *places)
    assert first.shape == second.shape == (5, 8)
    assert not torch.allclose(first, second)


def test_location_embeddings_are_the_pooled_output_times_a_matrix() -> None:
    batch = make_batch()
    network = make_network(heads="separate", reid_dim=12).eval()
    features = network.features(batch.images, batch.sizes)
    head = network.locations[0]
    assert isinstance(head, LocationHead)
    assert head.project.bias is None
    _, pooled = head.pooling(features, batch.targets.boxes, batch.targets.scene)
    located = network.location_embed(1, features, batch.targets.boxes, batch.targets.scene)
    torch.testing.assert_close(located, pooled @ head.project.weight.T)


def test_class_logits_come_beside_the_same_features() -> None:
    batch = make_batch()
    network = make_network(with_classifier=True).eval()
    features, classes = network.features_with_classes(batch.images, batch.sizes)
    assert classes.shape == (3, 1000)
    for level, same in zip(features.levels, network.features(batch.images, batch.sizes).levels, strict=True):
        torch.testing.assert_close(level, same)


@pytest.mark.parametrize("name", ["convnext_tiny", "resnet10t", "efficientnet_lite0"])
def test_activations_computed_again_change_nothing(name: str) -> None:
    """Their memory is what it saves: fewer tensors wait for the backward pass."""
    backbone = BACKBONE if name == "convnext_tiny" else BackboneConfig(name, "none", 0.0)
    network, batch = make_network(backbone=backbone, heads="separate"), make_batch()
    results = []
    for enable in (False, True):
        network.set_grad_checkpointing(enable)
        network.zero_grad()
        saved: list[int] = []

        def keep(tensor: Tensor, saved: list[int] = saved) -> Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            features = network.features(batch.images, batch.sizes)
            embeddings = network.embed(features, batch.targets.boxes, batch.targets.scene)
            total = embeddings.square().sum() + network.anchor_table(features).embeddings.square().mean()
        total.backward()
        gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
        results.append((total.detach(), gradients, sum(saved)))
    torch.testing.assert_close(results[0][:2], results[1][:2], rtol=1e-4, atol=1e-5)
    assert results[1][2] < 0.7 * results[0][2]
