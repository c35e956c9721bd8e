"""The Swap Path Network: one set of weights, two pathways (docs/method.md, "Network")."""

from typing import cast

import torch
from torch import Tensor, nn

from spnet.config.schema import ModelConfig, PathwayName
from spnet.errors import UserError
from spnet.models.backbone import Backbone
from spnet.models.boxes import BoxHead
from spnet.models.fpn import FeatureMaps, FeaturePyramid
from spnet.models.heads import AnchorHead, AnchorTable, LocationHead, ReidHead
from spnet.models.hub_mixin import HubMixin
from spnet.models.logits import NormLogit, offset_norm
from spnet.models.pathways import ObjectPathway, PairAnchors, QueryPathway


class SPNet(nn.Module, HubMixin):
    """Backbone, features, embedders, and for each step a bridge, a logit and a box head.

    Step 0 works on anchors, steps 1..n on the boxes of the step before.

    Args:
        config: the architecture.
        with_classifier: keep the backbone's ImageNet classifier.

    Raises:
        UserError: dims that contradict shared heads, or a backbone that does not exist.
    """

    def __init__(self, config: ModelConfig, with_classifier: bool = False) -> None:
        super().__init__()
        check_model_config(config)
        self.config = config
        self.trained_pathway: PathwayName = "object"  # what is saved with the weights
        steps = range(config.cascade_steps + 1)
        self.backbone = Backbone(config.backbone, with_classifier)
        self.fpn = FeaturePyramid(self.backbone.channels)
        self.anchors = AnchorHead(self.fpn.width, config.location_dim, config.anchor_size)
        channels = (self.backbone.channels[1], self.backbone.channels[2])
        self.reid = ReidHead(self.backbone.copy_last_stage(), channels, config.reid_dim)
        # the first location head serves the queries too, so a separate model has one even without a cascade
        heads = max(1, config.cascade_steps) if config.heads == "separate" else 0
        self.locations = nn.ModuleList(
            LocationHead(self.backbone.copy_last_stage(), channels, config.location_dim) for _ in range(heads)
        )
        self.bridges = nn.ModuleList(_zero_linear(config.location_dim) for _ in steps)
        # with BatchNorm, step 0 has two: that of all anchors is trained by their loss; the candidates' keeps
        # statistics alone in training, and scores at test time
        self.anchor_logit = NormLogit(config)
        self.logits = nn.ModuleList(NormLogit(config) for _ in steps)
        self.logits[0].requires_grad_(False)
        self.boxes = nn.ModuleList(BoxHead(config.location_dim, config.box_init) for _ in steps)
        self.to(memory_format=torch.channels_last)  # what convolutions are fastest in, on CPUs and GPUs

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute activations of the backbone and of the region heads' stages again in the backward pass."""
        self.backbone.net.set_grad_checkpointing(enable)
        for head in (self.reid, *self.locations):
            cast(ReidHead | LocationHead, head).pooling.last_stage.set_grad_checkpointing(enable)

    def features(self, images: Tensor, sizes: Tensor) -> FeatureMaps:
        """Images (B, 3, H, W), uint8 or normalized, with sizes (B, 2) height, width -> P3..P7."""
        stages = self.backbone(self.backbone.normalize(images, sizes))
        levels: FeatureMaps = self.fpn(stages, sizes, (images.shape[2], images.shape[3]))
        return levels

    def features_with_classes(self, images: Tensor, sizes: Tensor) -> tuple[FeatureMaps, Tensor]:
        """As `features`, and the ImageNet class logits (B, classes) of the backbone's classifier."""
        stages, classes = self.backbone.forward_with_classes(self.backbone.normalize(images, sizes))
        return self.fpn(stages, sizes, (images.shape[2], images.shape[3])), classes

    def anchor_table(self, features: FeatureMaps) -> AnchorTable:
        """Every anchor's box and embedding x_a."""
        table: AnchorTable = self.anchors(features)
        return table

    def embed(self, features: FeatureMaps, boxes: Tensor, scene: Tensor) -> Tensor:
        """Re-id embeddings (R, E) of boxes (R, 4) in scenes (R,), not normalized."""
        embeddings: Tensor = self.reid(features, boxes, scene)
        return embeddings

    def location_embed(self, step: int, features: FeatureMaps, boxes: Tensor, scene: Tensor) -> Tensor:
        """Location embeddings (R, D) of boxes: x_a of a cascade step (1..n), or x_q with step 1."""
        head = self.reid if self.config.heads == "shared" else self.locations[step - 1]
        embeddings: Tensor = head(features, boxes, scene)
        return embeddings

    def observe_candidates(self, offsets: Tensor, valid: Tensor) -> None:
        """In training, let step 0's test-time logit follow the norms of sampled candidates, x_o (M, D), valid (M,)."""
        if self.training:
            logit = cast(NormLogit, self.logits[0])  # a ModuleList does not say what it holds
            logit.observe(offset_norm(offsets), valid)

    def object_pathway(self, samples: int = 0) -> ObjectPathway:
        """The path that finds every person; `samples` candidates a scene in training."""
        return ObjectPathway(self.bridges, samples)

    def query_pathway(
        self, queries: Tensor, pairs: int = 0, samples: int = 0, anchors: PairAnchors = "nearest"
    ) -> QueryPathway:
        """The path that finds the persons of x_q (Q, D); `samples` candidates for each of `pairs` in training."""
        return QueryPathway(queries, pairs, samples, anchors)


def check_model_config(config: ModelConfig) -> None:
    """Raise UserError for an architecture that cannot be built."""
    if config.heads == "shared" and config.reid_dim != config.location_dim:
        raise UserError(
            f"model.reid_dim {config.reid_dim} differs from model.location_dim {config.location_dim}: "
            "shared heads give one embedding; choose equal dims or heads 'separate'"
        )
    for name in ("location_dim", "reid_dim", "anchor_size"):
        if getattr(config, name) < 2:
            raise UserError(f"model.{name} {getattr(config, name)} must be at least 2")
    if config.cascade_steps < 0:
        raise UserError(f"model.cascade_steps {config.cascade_steps} must be 0 or more")


def _zero_linear(dims: int) -> nn.Linear:
    linear = nn.Linear(dims, dims)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    return linear
