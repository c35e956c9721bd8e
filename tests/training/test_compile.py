"""torch.compile sees one graph in each part of a step, and changes neither names nor values."""

from typing import Any

import pytest
import torch
from torch import Tensor

from miniature import gpu_align_regions, make_batch, make_network
from spnet.config.schema import ObjectiveConfig
from spnet.losses.reid import Regions
from spnet.models import heads
from spnet.models.fpn import FeatureMaps
from spnet.models.heads import AnchorTable
from spnet.training.objective import SPNetLoss, compile_parts


def make_objective(pathway: Any, reid_loss: str, **shape: Any) -> tuple[Any, SPNetLoss]:
    network = make_network(**shape)
    config = ObjectiveConfig(
        pathway=pathway,
        samples_per_image=24,
        num_pairs=9,
        samples_per_pair=16,
        queue_size=500,
        reid_loss=reid_loss,
        reid_iou=0.0,
    )
    return network, SPNetLoss(config, network, identities=2)


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "align_regions", gpu_align_regions)
    torch._dynamo.reset()


def test_features_anchors_and_region_head_are_one_graph_each() -> None:
    """`fullgraph` raises at the first break, here and below."""
    network, batch = make_network(), make_batch()

    def features_and_anchors(images: Tensor) -> tuple[FeatureMaps, AnchorTable]:
        features = network.features(images, batch.sizes)
        return features, network.anchor_table(features)

    images = network.backbone.normalize(batch.images, batch.sizes)
    features_and_anchors(images)  # the anchors of this size are made
    features, _ = _one_graph(features_and_anchors)(images)
    embeddings = _one_graph(network.embed)(features, batch.targets.boxes, batch.targets.scene)
    assert torch.isfinite(embeddings).all()


@pytest.mark.parametrize("pathway", ["object", "query"])
@pytest.mark.parametrize("shape", [{}, {"heads": "separate", "cascade_steps": 2}], ids=["shared", "cascade"])
def test_the_losses_of_detection_are_one_graph(shape: dict[str, Any], pathway: str) -> None:
    network, objective = make_objective(pathway, "oim", **shape)
    batch = make_batch()
    features = network.features(batch.images, batch.sizes)
    embeddings = network.embed(features, batch.targets.boxes, batch.targets.scene)
    path = objective._path(network, features, embeddings, batch.targets)
    last = _one_graph(lambda: objective._detection(network, path, features, batch.targets, {}))()
    assert torch.isfinite(last.decoded).all()


@pytest.mark.parametrize("reid_loss", ["oim", "contrastive"])
def test_a_memory_is_one_graph(reid_loss: str) -> None:
    _, objective = make_objective("object", reid_loss)
    batch = make_batch()
    rows = torch.randn(len(batch.targets.boxes), 8, requires_grad=True)
    regions = [Regions(batch.targets.boxes, batch.targets.scene, torch.arange(len(rows)))]
    step = _one_graph(lambda rows: objective.memory.step(rows, batch, regions, lambda runs: rows.detach(), 2))
    assert torch.isfinite(step(rows))


def _one_graph(work: Any) -> Any:
    return torch.compile(work, fullgraph=True, backend="eager")


def test_compiled_parts_keep_names_and_values() -> None:
    batch = make_batch()
    values = []
    for compiled in (False, True):
        network, objective = make_objective("query", "contrastive")
        names = list(network.state_dict())
        if compiled:
            compile_parts(network, objective, backend="aot_eager")
        torch.manual_seed(0)
        losses = objective(network, batch)
        torch.stack(list(losses.values())).sum().backward()
        gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        values.append((losses, gradients))
        assert list(network.state_dict()) == names
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-6)


def test_the_backbone_with_its_classifier_is_one_graph() -> None:
    network, batch = make_network(with_classifier=True), make_batch()
    images = network.backbone.normalize(batch.images, batch.sizes)
    _, classes = _one_graph(network.features_with_classes)(images, batch.sizes)
    torch.testing.assert_close(classes, network.features_with_classes(images, batch.sizes)[1])
