"""The Swap Path Network: one set of weights, two paths. Reads like section 2 of the specification."""

from typing import cast

import torch
from torch import Tensor, nn

from spnet.config import ModelConfig
from spnet.errors import UserError
from spnet.model.boxes import BoxHead
from spnet.model.embedders import AnchorEmbedder, AnchorTable, LocationHead, ReidHead
from spnet.model.logits import NormLogit
from spnet.model.paths import ObjectPath, QueryPath
from spnet.model.trunk import FeaturePyramid, Pyramid, Trunk, normalise


class SPNet(nn.Module):
    """Trunk, pyramid, embedders, and for each step a bridge, a logit and a box head.

    Step 0 works on anchors, steps 1..n on the boxes of the step before.

    Args:
        config: the architecture.
        with_classifier: keep the trunk's ImageNet classifier.

    Raises:
        UserError: dims that contradict shared heads, or a trunk that does not exist.
    """

    def __init__(self, config: ModelConfig, with_classifier: bool = False) -> None:
        super().__init__()
        check_model_config(config)
        self.config = config
        steps = range(config.cascade_steps + 1)
        self.trunk = Trunk(config.trunk, with_classifier)
        self.pyramid = FeaturePyramid(self.trunk.channels)
        self.anchors = AnchorEmbedder(self.pyramid.width, config.location_dims, config.anchor_size)
        channels = (self.trunk.channels[1], self.trunk.channels[2])
        self.reid = ReidHead(self.trunk.copy_last_stage(), channels, config.reid_dims)
        # the first location head serves the queries too, so a separate model has one even without a cascade
        heads = max(1, config.cascade_steps) if config.heads == "separate" else 0
        self.locations = nn.ModuleList(
            LocationHead(self.trunk.copy_last_stage(), channels, config.location_dims) for _ in range(heads)
        )
        self.bridges = nn.ModuleList(_zero_linear(config.location_dims) for _ in steps)
        self.logits = nn.ModuleList(NormLogit(config) for _ in steps)
        self.boxes = nn.ModuleList(BoxHead(config.location_dims) for _ in steps)
        self.to(memory_format=torch.channels_last)  # what convolutions are fastest in, on CPUs and GPUs

    def features(self, images: Tensor, sizes: Tensor) -> Pyramid:
        """Pictures (B, 3, H, W), uint8 or normalised, with sizes (B, 2) height, width -> P3..P7."""
        return self.pyramid(self.trunk(normalise(images, sizes)), sizes, (images.shape[2], images.shape[3]))

    def features_with_classes(self, images: Tensor, sizes: Tensor) -> tuple[Pyramid, Tensor]:
        """As `features`, and the ImageNet class logits (B, classes) of the trunk's classifier."""
        stages, classes = self.trunk.forward_with_classes(normalise(images, sizes))
        return self.pyramid(stages, sizes, (images.shape[2], images.shape[3])), classes

    def anchor_table(self, pyramid: Pyramid) -> AnchorTable:
        """Every anchor's box and embedding x_a."""
        return cast(AnchorTable, self.anchors(pyramid))

    def embed(self, pyramid: Pyramid, boxes: Tensor, scene: Tensor) -> Tensor:
        """Re-id embeddings (R, E) of boxes (R, 4) in scenes (R,), not normalised."""
        return cast(Tensor, self.reid(pyramid, boxes, scene))

    def locate(self, step: int, pyramid: Pyramid, boxes: Tensor, scene: Tensor) -> Tensor:
        """Location embeddings (R, D) of boxes: x_a of a cascade step (1..n), or x_q with step 1."""
        head = self.reid if self.config.heads == "shared" else self.locations[step - 1]
        return cast(Tensor, head(pyramid, boxes, scene))

    def object_path(self, samples: int = 0) -> ObjectPath:
        """The path that finds every person; `samples` candidates a scene in training."""
        return ObjectPath(self.bridges, samples)

    def query_path(self, queries: Tensor, pairs: int = 0, samples: int = 0) -> QueryPath:
        """The path that finds the persons of x_q (Q, D); `samples` candidates for each of `pairs` in training."""
        return QueryPath(queries, pairs, samples)


def check_model_config(config: ModelConfig) -> None:
    """Raise UserError for an architecture that cannot be built."""
    if config.heads == "shared" and config.reid_dims != config.location_dims:
        raise UserError(
            f"model.reid_dims {config.reid_dims} differs from model.location_dims {config.location_dims}: "
            "shared heads give one embedding; choose equal dims or heads 'separate'"
        )
    for name in ("location_dims", "reid_dims", "anchor_size"):
        if getattr(config, name) < 2:
            raise UserError(f"model.{name} {getattr(config, name)} must be at least 2")
    if config.cascade_steps < 0:
        raise UserError(f"model.cascade_steps {config.cascade_steps} must be 0 or more")


def _zero_linear(dims: int) -> nn.Linear:
    linear = nn.Linear(dims, dims)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    return linear
