"""A network small enough for tests, and batches to feed it."""

from dataclasses import replace
from typing import Any

import torch

from spnet.config.schema import BackboneConfig, ModelConfig
from spnet.models.roi_align import SAMPLES
from spnet.models.spnet import SPNet
from spnet.types import SceneBatch, Targets

BACKBONE = BackboneConfig("convnext_tiny", "none", 0.0, {"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 24)})

# scene, box, person, identity: two views of one image, a stranger, and a scene of somebody else
ROWS = [
    (0, (5, 6, 30, 60), 100, 0),
    (0, (40, 4, 70, 62), 101, 1),
    (1, (12, 6, 37, 60), 100, 0),
    (1, (50, 4, 80, 62), 101, 1),
    (2, (20, 10, 60, 50), 102, -1),
]


def make_config(**changes: Any) -> ModelConfig:
    """A miniature ConvNeXt, D = E = 8."""
    return replace(ModelConfig(backbone=BACKBONE, location_dim=8, reid_dim=8), **changes)


def make_network(seed: int = 0, with_classifier: bool = False, **changes: Any) -> SPNet:
    """A network with random weights that sees something: its bridges and heads are not at their silent start."""
    torch.manual_seed(seed)
    network = SPNet(make_config(**changes), with_classifier)
    torch.nn.init.normal_(network.anchors.embed.weight, std=0.3)
    torch.nn.init.normal_(network.anchors.embed.get_parameter("bias"), std=0.3)
    for bridge, head in zip(network.bridges, network.boxes, strict=True):
        torch.nn.init.normal_(bridge.get_parameter("weight"), std=0.1)
        torch.nn.init.normal_(head.get_parameter("deltas.weight"), std=0.15 / network.config.location_dim**0.5)
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):  # ConvNeXt's blocks add next to nothing when they are new
            torch.nn.init.ones_(parameter)
        if ".project" in name and parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.3)
    return network


def make_targets(rows: list[tuple[Any, ...]]) -> Targets:
    """From rows (scene, box, person, identity)."""
    return Targets(
        boxes=torch.tensor([row[1] for row in rows], dtype=torch.float32).reshape(-1, 4),
        scene=torch.tensor([row[0] for row in rows], dtype=torch.int64),
        person=torch.tensor([row[2] for row in rows], dtype=torch.int64),
        identity=torch.tensor([row[3] for row in rows], dtype=torch.int64),
    )


def make_batch(rows: list[tuple[Any, ...]] = ROWS, scenes: int = 3, size: tuple[int, int] = (64, 96)) -> SceneBatch:
    """Random images that fill their batch, and boxes on them."""
    generator = torch.Generator().manual_seed(0)
    return SceneBatch(
        images=torch.randint(0, 256, (scenes, 3, *size), dtype=torch.uint8, generator=generator),
        sizes=torch.tensor([size] * scenes),
        scene_ids=torch.arange(scenes),
        scales=torch.ones(scenes, 2),
        targets=make_targets(rows),
    )


def random_boxes(count: int, width: float, height: float, generator: torch.Generator) -> torch.Tensor:
    """(count, 4) boxes with area inside an image."""
    first = torch.rand(count, 2, generator=generator) * 0.7
    second = first + 0.05 + torch.rand(count, 2, generator=generator) * (0.95 - first)
    return torch.cat([first, second.clamp(max=1)], dim=1) * torch.tensor([width, height, width, height])


def gpu_align_regions(
    features: torch.Tensor, boxes: torch.Tensor, scene: torch.Tensor, scale: float, size: int
) -> torch.Tensor:
    """RoIAlign as on a GPU; the products that stand for it on a CPU ask how many boxes a scene has."""
    rows = torch.cat([scene[:, None].float(), boxes.detach()], 1)
    aligned: torch.Tensor = torch.ops.torchvision.roi_align(features.float(), rows, scale, size, size, SAMPLES, False)
    return aligned
