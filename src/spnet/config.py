"""The configuration of a run: typed, frozen, one small dataclass for each part. Defaults are the paper's SPNet-S."""

from dataclasses import dataclass, field
from typing import Any, Literal

PathName = Literal["query", "object"]


@dataclass(frozen=True)
class TrunkConfig:
    """The convolutional (or windowed-attention) trunk.

    Args:
        name: a timm model with feature strides 8, 16 and 32.
        weights: `none` (random), `imagenet` (torchvision's IMAGENET1K_V1, the paper's "ImageNet-1k classifier"), `timm`
            or `timm:TAG` (timm's default or tagged weights), or a local file (.safetensors, .pth).
        drop_path: stochastic depth, also in the region head's copy of the last stage.
        options: further arguments of `timm.create_model`.
    """

    name: str = "convnext_tiny"
    weights: str = "imagenet"
    drop_path: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InferenceConfig:
    """What is kept of a scene at test time (SPEC section 4).

    Args:
        window: a scene is resized to this shortest side, but to no longer longest side, in pixels.
        object_anchors: best anchors of a scene, object-centric.
        query_anchors: best anchors of a scene for each query, query-centric.
        score_threshold: lowest score of step 0 that is kept.
        nms_iou: boxes that overlap a better one by more than this are dropped.
        max_detections: detections kept of a scene (object-centric) or of a scene for a query (query-centric).
    """

    window: tuple[int, int] = (900, 1500)
    object_anchors: int = 1000
    query_anchors: int = 100
    score_threshold: float = 0.5
    nms_iou: float = 0.5
    max_detections: int = 300


@dataclass(frozen=True)
class ModelConfig:
    """The network (SPEC section 2; the rows of Table 7, top).

    Args:
        trunk: the trunk.
        heads: `shared`: one region head gives re-id, query and cascade embeddings; `separate`: own location heads.
        cascade_steps: refinement steps after the anchors.
        location_dims: D, dimensions of anchor, query and offset embeddings.
        reid_dims: E, dimensions of the re-id embedding; equals D with shared heads.
        logits: `fixed` (FixedNorm, supplementary eq. 3-4) or `batch` (BatchNorm of the offset's norm); Table 9.
        logit_sign: sign of the norm in the logit; Table 9.
        anchor_size: base size of P3's anchors in pixels; each following level doubles it.
        inference: what is kept at test time.
    """

    trunk: TrunkConfig = TrunkConfig()
    heads: Literal["shared", "separate"] = "shared"
    cascade_steps: int = 0
    location_dims: int = 128
    reid_dims: int = 128
    logits: Literal["fixed", "batch"] = "fixed"
    logit_sign: Literal["negative", "positive"] = "negative"
    anchor_size: int = 32
    inference: InferenceConfig = InferenceConfig()


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is trained (SPEC section 3). Defaults: object-centric fine-tuning.

    Args:
        path: `object` or `query`.
        detection: train detection too; without it, only re-id of annotated boxes (Table 6, "Re-id Only").
        scene_samples: candidates drawn of a scene, object-centric.
        pairs: query-scene pairs of a batch, query-centric.
        pair_samples: candidates of a pair, query-centric.
        reid: `oim` (known identities and a queue of unknown persons) or `queue` (a queue of all persons and a teacher).
        reid_boxes: `all` or `annotated`: train re-id on detected boxes as well, or on annotated ones alone (Table 6).
        reid_iou: a detected box trains re-id if it overlaps its target by this.
        reid_pair_samples: detected boxes of a pair that train re-id, at most.
        scalar: inverse temperature of the cosines.
        queue_size: persons in the queue.
        momentum: what a row of the OIM table keeps in an update.
        teacher_momentum: what the teacher keeps in a step.
        forgetting: add the loss against forgetting the ImageNet classifier (LwF, Table 7).
    """

    path: PathName = "object"
    detection: bool = True
    scene_samples: int = 128
    pairs: int = 32
    pair_samples: int = 64
    reid: Literal["oim", "queue"] = "oim"
    reid_boxes: Literal["all", "annotated"] = "all"
    reid_iou: float = 0.7
    reid_pair_samples: int = 16
    scalar: float = 30.0
    queue_size: int = 5000
    momentum: float = 0.5
    teacher_momentum: float = 0.9999
    forgetting: bool = False
