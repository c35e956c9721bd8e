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


@pytest.mark.parametrize(
    ("heads_are", "pathway", "reid_loss"),
    [
        ("shared", "object", "oim"),
        ("shared", "query", "contrastive"),
        ("separate", "object", "contrastive"),
        ("separate", "query", "oim"),
    ],
)
def test_each_part_is_one_graph(heads_are: str, pathway: str, reid_loss: str) -> None:
    """`fullgraph` raises at the first break: features with anchors, region head, losses of detection, memory.

    The losses of detection depend on the heads and the pathway, the memory on neither: each pair of them is here once.
    """
    shape: dict[str, Any] = {"heads": "separate", "cascade_steps": 2} if heads_are == "separate" else {}
    network, objective = make_objective(pathway, reid_loss, **shape)
    batch = make_batch()
    targets = batch.targets

    def features_and_anchors(images: Tensor) -> tuple[FeatureMaps, AnchorTable]:
        features = network.features(images, batch.sizes)
        return features, network.anchor_table(features)

    images = network.backbone.normalize(batch.images, batch.sizes)
    features_and_anchors(images)  # the anchors of this size are made
    features, _ = _one_graph(features_and_anchors)(images)
    embeddings = _one_graph(network.embed)(features, targets.boxes, targets.scene)
    path = objective._path(network, features, embeddings, targets)
    _one_graph(lambda: objective._detection(network, path, features, targets, {}))()
    regions = [Regions(targets.boxes, targets.scene, torch.arange(len(targets.boxes)))]
    step = _one_graph(lambda rows: objective.memory.step(rows, batch, regions, lambda runs: rows.detach(), 2))
    assert torch.isfinite(step(embeddings))


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
