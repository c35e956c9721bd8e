"""The three embedders (docs/method.md, "Network"): anchors of all features, regions for re-id, regions for location."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection.anchor_utils import AnchorGenerator

from spnet.models.backbone import RoIStage
from spnet.models.fpn import FeatureMaps
from spnet.models.norm import FP32BatchNorm1d
from spnet.models.roi_align import align_regions

ANCHORS_PER_LOCATION = 9
FeatureShape = tuple[torch.device, tuple[int, int], list[list[int]]]  # padded size of the batch, grid of each level
REGION_SIZE = 14
FEWEST_REGIONS = 64  # that a GPU is given at once


@dataclass(frozen=True)
class AnchorTable:
    """All anchors of a batch; they are at the same places in every scene."""

    boxes: Tensor  # (A, 4) pixels xyxy
    embeddings: Tensor  # (B, A, D)
    sizes: Tensor  # (B, 2) int64 height, width of the images
    squares: Tensor | None = None  # (B, A) float32 |x_a|^2, where several rounds of queries are compared with them

    @property
    def count(self) -> int:
        """A."""
        return self.boxes.shape[0]

    def of_scene(self, scene: int) -> "AnchorTable":
        """Those of one scene, with their squares."""
        embeddings = self.embeddings[scene : scene + 1]
        return AnchorTable(self.boxes, embeddings, self.sizes[scene : scene + 1], squared_norms(embeddings))


def squared_norms(embeddings: Tensor) -> Tensor:
    """|x_a|^2 of embeddings (B, A, D): (B, A) float32."""
    return embeddings.float().square().sum(2)


class AnchorHead(nn.Module):
    """One 3x3 convolution over P3..P7 gives D numbers for each of 9 anchors a location.

    Args:
        width: channels of the features.
        dims: D.
        base_size: pixels of the smallest anchor; levels double it, with 3 octave steps and ratios 0.5, 1, 2.
    """

    def __init__(self, width: int, dims: int, base_size: int = 32) -> None:
        super().__init__()
        self.dims = dims
        self.embed = nn.Conv2d(width, ANCHORS_PER_LOCATION * dims, 3, padding=1)
        nn.init.normal_(self.embed.weight, std=0.01)
        nn.init.constant_(self.embed.get_parameter("bias"), -math.log(99))
        sizes = tuple(tuple(int(base_size * 2**level * 2 ** (step / 3)) for step in range(3)) for level in range(5))
        self.generator = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5)
        self._places: tuple[FeatureShape, Tensor] | None = None

    def forward(self, features: FeatureMaps) -> AnchorTable:
        """Levels (B, C, h, w) -> the table, ordered by level, row, column, shape."""
        embeddings = [self._flatten(self.embed(level)) for level in features.levels]
        return AnchorTable(self._boxes(features), torch.cat(embeddings, dim=1), features.sizes)

    def _flatten(self, maps: Tensor) -> Tensor:
        batch, _, height, width = maps.shape
        maps = maps.view(batch, ANCHORS_PER_LOCATION, self.dims, height, width)
        return maps.permute(0, 3, 4, 1, 2).reshape(batch, -1, self.dims)

    def _boxes(self, features: FeatureMaps) -> Tensor:
        """Anchors of these features; kept, since batches of one size follow one another and making them waits."""
        device, grids = features.levels[0].device, [[level.shape[2], level.shape[3]] for level in features.levels]
        shape = (device, features.padded_size, grids)
        if self._places is None or self._places[0] != shape:
            with torch.inference_mode(False):  # what is made while evaluating serves in training too
                self._places = shape, self._make_boxes(features.padded_size, grids).to(device)
        return self._places[1]

    def _make_boxes(self, padded_size: tuple[int, int], grids: list[list[int]]) -> Tensor:
        height, width = padded_size
        strides = [[torch.tensor(height // rows), torch.tensor(width // columns)] for rows, columns in grids]
        self.generator.set_cell_anchors(torch.float32, torch.device("cpu"))
        return torch.cat(self.generator.grid_anchors(grids, strides))


class RegionPooling(nn.Module):
    """RoIAlign on P3, then the last stage's copy, then global max pooling of what goes in and what comes out.

    Args:
        last_stage: the copy.
    """

    def __init__(self, last_stage: RoIStage) -> None:
        super().__init__()
        self.last_stage = last_stage
        self.has_batch_norm = any(isinstance(module, _BatchNorm) for module in last_stage.modules())

    def forward(self, features: FeatureMaps, boxes: Tensor, scene: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (R, 4) of scenes (R,) -> the stage's pooled input (R, C4) and output (R, C5).

        No gradient reaches the boxes. Whatever the precision of the features, boxes stay float32: half a pixel counts.
        """
        count = boxes.shape[0]
        boxes, scene = self._pad(boxes, scene)
        finest = features.levels[0]
        scale = finest.shape[2] / features.padded_size[0]
        regions = align_regions(finest, boxes, scene, scale, REGION_SIZE).to(finest.dtype)
        return regions.amax((2, 3))[:count], self.last_stage(regions).amax((2, 3))[:count]

    def _pad(self, boxes: Tensor, scene: Tensor) -> tuple[Tensor, Tensor]:
        """Add empty boxes; what becomes of them is cut off again."""
        missing = self.region_count(boxes) - boxes.shape[0]
        return pad(boxes, (0, 0, 0, missing)), pad(scene, (0, missing))

    def region_count(self, boxes: Tensor) -> int:
        """How many regions the stage is given for boxes (R, 4): on a GPU one of few numbers, for few shapes.

        One at least: not every stage can do with none, and in training its parameters take part in every step, as
        processes that share gradients must. BatchNorm of the stage's own would count empty boxes.
        """
        if torch.compiler.is_exporting():  # it takes it for granted that there are some, and leaves out a maximum
            return boxes.shape[0] + 1
        few_shapes = boxes.device.type == "cuda" and not self.has_batch_norm
        return padded_count(len(boxes)) if few_shapes else max(1, boxes.shape[0])


class ReidHead(nn.Module):
    """Re-id embedding of boxes: the pooled input and output each give half of the E dims."""

    def __init__(self, last_stage: RoIStage, channels: tuple[int, int], dims: int) -> None:
        super().__init__()
        self.pooling = RegionPooling(last_stage)
        self.project_input = _projection(channels[0], dims // 2)
        self.project_output = _projection(channels[1], dims - dims // 2)

    def forward(self, features: FeatureMaps, boxes: Tensor, scene: Tensor) -> Tensor:
        """Boxes (R, 4) of scenes (R,) -> (R, E) float32, not normalized. Batch statistics are of these R boxes."""
        pooled_input, pooled_output = self.pooling(features, boxes, scene)
        return torch.cat([self.project_input(pooled_input), self.project_output(pooled_output)], dim=1)


class LocationHead(nn.Module):
    """Location embedding of boxes in the separate model: max pooling and one linear layer without bias."""

    def __init__(self, last_stage: RoIStage, channels: tuple[int, int], dims: int) -> None:
        super().__init__()
        self.pooling = RegionPooling(last_stage)
        self.project = nn.Linear(channels[1], dims, bias=False)

    def forward(self, features: FeatureMaps, boxes: Tensor, scene: Tensor) -> Tensor:
        """Boxes (R, 4) of scenes (R,) -> (R, D) float32."""
        embeddings: Tensor = self.project(self.pooling(features, boxes, scene)[1])
        return embeddings.float()


def padded_count(count: int) -> int:
    """The next of 64, 128, 192, 256, 320, 384, 448, 512, 640, ...; from 256 on a quarter is padding at most."""
    octave = 1 << max(0, count - 1).bit_length()  # the next power of two
    step = max(FEWEST_REGIONS, octave // 8)
    return max(1, -(-count // step)) * step


def _projection(channels: int, dims: int) -> nn.Sequential:
    linear = nn.Linear(channels, dims)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, FP32BatchNorm1d(dims, affine=False))
