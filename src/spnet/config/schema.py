"""The one schema of a run: typed, frozen dataclasses; the defaults are the paper's SPNet-S, fine-tuned.

A field's string is its help on the command line and its description in the generated JSON schema. Ranges are checked
by pydantic wherever a configuration is read (`spnet.config.io`), so that no reader has checks of its own.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from spnet.errors import UserError

PathwayName = Literal["query", "object"]
Stage = Literal["pretrain", "finetune"]
Precision = Literal["auto", "32-true", "16-mixed", "bf16-mixed"]
LoggerName = Literal["tensorboard", "csv", "wandb", "mlflow", "none"]
Monitor = Literal["mAP", "top1", "ap", "recall", "loss"]

Share = Annotated[float, Field(ge=0, le=1)]
Dim = Annotated[int, Field(ge=2)]


class _Schema:
    """How pydantic reads the dataclasses: unknown keys and NaN are refused, a field's string is its description."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, coerce_numbers_to_str=True, allow_inf_nan=False
    )


def _require_ascending(keys: str, low: float, high: float) -> None:
    if low > high:
        raise UserError(f"{keys} are {low}, {high}: the first must not be above the second")


@dataclass(frozen=True)
class BackboneConfig(_Schema):
    """The convolutional (or windowed-attention) backbone."""

    name: str = "convnext_tiny"
    """a timm model with feature strides 8, 16 and 32"""
    weights: str = "imagenet"
    """`none` (random), `imagenet` (torchvision's IMAGENET1K_V1, the paper's "ImageNet-1k classifier"), `timm` or
    `timm:TAG` (timm's default or tagged weights), or a local file (.safetensors, .pth)"""
    drop_path: Share = 0.1
    """stochastic depth, also in the region head's copy of the last stage"""
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    """further arguments of `timm.create_model`"""
    semantic_weight: Share | None = None
    """of a Swin that starts from SOLIDER's weights (a local file): 0.6 in the authors' configurations"""


@dataclass(frozen=True)
class InferenceConfig(_Schema):
    """What is kept of a scene at test time (docs/method.md, "Inference"). It shapes no weights."""

    min_size: PositiveInt = 900
    """shortest side a scene is resized to, pixels"""
    max_size: PositiveInt = 1500
    """largest longest side of a resized scene, pixels"""
    object_pre_nms_topk: PositiveInt = 1000
    """best anchors of a scene, object-centric; without effect unless below `max_detections`, which caps the same
    anchors"""
    query_pre_nms_topk: PositiveInt = 100
    """best anchors of a scene for each query, query-centric; without effect unless below `max_detections`"""
    score_threshold: Share = 0.5
    """lowest score of step 0 that is kept"""
    nms_iou: Share = 0.5
    """boxes that overlap a better one by more than this are dropped"""
    antialias: bool = True
    """average pixels where a scene is shrunk; the released code does not"""
    precision: Literal["float32", "float16"] = "float32"
    """of the network at test time; the released code measures in float16 autocast"""
    max_detections: PositiveInt = 300
    """best anchors above the threshold that are decoded, before NMS, hence also the most detections, of a scene
    (object-centric) or of a scene for one query (query-centric); the method's 1,000 of `object_pre_nms_topk` therefore
    never count beside 300"""

    def __post_init__(self) -> None:
        """Refuse a window that is empty."""
        _require_ascending("min_size, max_size", self.min_size, self.max_size)


@dataclass(frozen=True)
class ModelConfig(_Schema):
    """The network (docs/method.md, "Network"; the rows of Table 7, top)."""

    backbone: BackboneConfig = BackboneConfig()
    heads: Literal["shared", "separate"] = "shared"
    """`shared`: one region head gives re-id, query and cascade embeddings; `separate`: location heads of their own"""
    cascade_steps: NonNegativeInt = 0
    """refinement steps after the anchors"""
    location_dim: Dim = 128
    """D, dimensions of anchor, query and offset embeddings"""
    reid_dim: Dim = 128
    """E, dimensions of the re-id embedding; equals D with shared heads"""
    logit_norm: Literal["fixed", "batch"] = "fixed"
    """`fixed` (FixedNorm, supplementary eq. 3-4) or `batch` (BatchNorm of the offset's norm); Table 9"""
    logit_sign: Literal["negative", "positive"] = "negative"
    """sign of the norm in the logit; Table 9"""
    box_init: Literal["he", "torch"] = "he"
    """how the box head starts: `he` (He's, last layer near zero, so that boxes start as their anchors), or `torch`
    (torch's default, as released)"""
    anchor_size: Dim = 32
    """base size of P3's anchors in pixels; each following level doubles it"""
    inference: InferenceConfig = InferenceConfig()


@dataclass(frozen=True)
class ObjectiveConfig(_Schema):
    """What is trained (docs/method.md, "Training"). Defaults: object-centric fine-tuning."""

    pathway: PathwayName = "object"
    """`object` or `query`"""
    detection: bool = True
    """train detection too; without it, only re-id of annotated boxes (Table 6, "Re-id Only")"""
    samples_per_image: PositiveInt = 128
    """candidates sampled of a scene, object-centric"""
    num_pairs: PositiveInt = 32
    """query-scene pairs of a batch, query-centric"""
    samples_per_pair: PositiveInt = 64
    """candidates of a pair, query-centric"""
    pair_anchors: Literal["nearest", "lowest_index"] = "nearest"
    """second half of a pair's candidates where the person is in the scene, query-centric: the nearest anchors, or the
    lowest-numbered ones, as released"""
    reid_loss: str = "oim"
    """a name of the registry `spnet.losses.reid`: `oim` (known identities and a queue of unknown persons) or
    `contrastive` (a memory of all persons, filled by a teacher)"""
    reid_box_source: Literal["all", "gt"] = "all"
    """train re-id on detected and annotated boxes (`all`), or on annotated ones alone (`gt`; Table 6)"""
    reid_iou: Share = 0.7
    """a detected box trains re-id if it overlaps its target by this"""
    reid_samples_per_pair: NonNegativeInt = 16
    """detected boxes of a pair that train re-id, at most"""
    logit_scale: NonNegativeFloat = 30.0
    """inverse temperature of the cosines"""
    queue_size: PositiveInt = 5000
    """persons in the memory's queue"""
    oim_momentum: Share = 0.5
    """what a row of the OIM table keeps in an update"""
    ema_decay: Share = 0.9999
    """what the teacher keeps of itself in a step"""
    teacher_drop_path: bool = False
    """stochastic depth in the teacher, as released"""
    ema_update: Literal["after_step", "before_step"] = "after_step"
    """when the teacher follows: after the optimizer's step, or before it, as released"""
    lwf: bool = False
    """add the loss of learning without forgetting the ImageNet classifier (LwF, Table 7)"""
    lwf_loss: Literal["cross_entropy", "binary_cross_entropy"] = "cross_entropy"
    """of class distributions, batch mean; or binary, mean over batch and classes, as released"""
    frozen_mode: Literal["eval", "train"] = "eval"
    """mode of a frozen backbone and of LwF's initial one: evaluation, or training, as released"""


@dataclass(frozen=True)
class Augmentation(_Schema):
    """How views are made of a scene (supplementary section 8, "Image Augmentation")."""

    name: Literal["wrs", "rrc2", "rrc_scale", "rrc_window"] = "rrc2"
    """`wrs`: only resized, for evaluation; `rrc2`: random crops of the resized scene; `rrc_scale`: of the scene at a
    random scale; `rrc_window` (not of the paper): of the resized scene at a random scale"""
    crop_size: PositiveInt = 512
    """side of the square views of all but wrs, pixels"""
    scale_range: tuple[PositiveFloat, PositiveFloat] = (0.5, 2.0)
    """uniform, of the file (rrc_scale; the released code samples from 1.5 to 3) or of the resized scene (rrc_window)"""
    min_size: PositiveInt = 900
    """shortest side the scene is resized to, pixels; not of rrc_scale"""
    max_size: PositiveInt = 1500
    """largest longest side of the resized scene, pixels; not of rrc_scale"""
    scene_crop_prob: Share = 0.5
    """chance of the crop around all boxes, which does not keep the aspect; the paper's is a half"""
    num_views: PositiveInt = 1
    """views of each image, which is decoded once"""
    antialias: bool = True
    """average pixels where an image is shrunk; the released code does not"""

    def __post_init__(self) -> None:
        """Refuse ranges that are empty."""
        _require_ascending("scale_range", *self.scale_range)
        _require_ascending("min_size, max_size", self.min_size, self.max_size)


@dataclass(frozen=True)
class DataConfig(_Schema):
    """What a run is trained on."""

    root: str = ""
    """a prepared data set, made by `spnet prepare`"""
    train_split: str = "train"
    """annotations trained on, `annotations/<split>.json`"""
    unique_id_per_box: bool = False
    """ignore identities: every annotated box is its own person (pre-training on plain boxes)"""
    augmentation: Augmentation = Augmentation()
    batch_size: PositiveInt = 8
    """scenes of a batch of one process, all views counted"""
    drop_last: bool = True
    """leave out the last, partial batch of an epoch; the released code keeps it"""
    num_workers: NonNegativeInt = 4
    """processes that read images; 0 reads them in the training process"""
    cache_mb: NonNegativeInt = 0
    """megabytes of each such process for decoded images, which are then not decoded again"""


@dataclass(frozen=True)
class OptimizerConfig(_Schema):
    """How weights change (supplementary Table 7, bottom): AdamW, linear warm-up, then cosine to 0 by step."""

    epochs: PositiveInt = 30
    """passes over the training scenes"""
    lr: NonNegativeFloat = 1e-4
    """learning rate of everything but the backbone"""
    weight_decay: NonNegativeFloat = 5e-4
    """of everything but the backbone"""
    backbone_lr: NonNegativeFloat | None = None
    """learning rate of the backbone; not given: as the rest"""
    backbone_weight_decay: NonNegativeFloat | None = None
    """of the backbone; not given: as the rest"""
    freeze_backbone: bool = False
    """leave the backbone as it is"""
    warmup_steps: NonNegativeInt = 1000
    """steps of warm-up from 1/1000, at most one epoch less a step"""
    grad_clip_norm: NonNegativeFloat = 10.0
    """largest norm of the gradient"""
    precision: Precision = "auto"
    """`auto` is bf16-mixed on a GPU or CPU that has it, 16-mixed on any other GPU, 32-true on any other CPU"""


@dataclass(frozen=True)
class ValidationConfig(_Schema):
    """How a run is measured while it trains; nothing of it shapes weights but early stopping (`patience`)."""

    split: str | None = None
    """annotations measured on, `annotations/<split>.json`; not given: `val` if the data set has it, and to fine-tune a
    protocol of that name too"""
    protocol: str | None = None
    """retrieval protocol, `retrieval/<protocol>.json`; not given: the split's name. Pre-training needs none"""
    every_n_epochs: PositiveInt | None = None
    """epochs between two validations, the last epoch has one in any case; not given: each epoch on `val`, the last one
    alone on any other split"""
    monitor: Monitor | None = None
    """metric that decides which weights are the best: `mAP`, `top1`, `ap` or `recall`, in pre-training `loss`; not
    given: mAP or loss"""
    patience: NonNegativeInt = 0
    """validations without a better metric after which training stops; 0: never"""


@dataclass(frozen=True)
class CheckpointConfig(_Schema):
    """When a run's state is saved, and which weights are kept beside the last and the best. It shapes no weights."""

    every_n_minutes: NonNegativeFloat = 10.0
    """minutes between two checkpoints within an epoch, at whose end there is one in any case; 0: not by the clock"""
    every_n_steps: NonNegativeInt = 0
    """steps between two checkpoints within an epoch; 0: not by steps"""
    every_n_epochs: NonNegativeInt = 0
    """epochs between two files `checkpoints/epoch_*.safetensors`; 0: none"""
    teacher: bool = False
    """write `teacher.safetensors` too: the network with the teacher's backbone, pyramid and re-id head"""


@dataclass(frozen=True)
class TrainerConfig(_Schema):
    """What a run is trained on."""

    devices: PositiveInt = 1
    """processes of a machine, each with a GPU of its own or, without any, on the CPU; each has `data.batch_size` scenes
    a step"""
    nodes: PositiveInt = 1
    """machines; started as Lightning does it, by torchrun or SLURM"""
    compile: bool = False
    """let torch.compile fuse backbone, pyramid, heads and teacher: faster steps after some minutes of compilation"""
    grad_checkpointing: bool = False
    """compute activations of backbone and region heads again in the backward pass: less memory, longer steps"""

    @property
    def processes(self) -> int:
        """Of the whole run."""
        return self.devices * self.nodes


@dataclass(frozen=True)
class WeightsConfig(_Schema):
    """Where the network's weights come from, beyond the backbone's."""

    init_from: str | None = None
    """a finished run's folder, a weights file, or `hf:org/name` on the Hugging Face Hub; not given: start afresh"""
    replicate: bool = False
    """copy step 0 into the cascade's steps too (PT-Rep)"""
    partial: bool = False
    """accept weights that fit only in part; counts are printed"""


@dataclass(frozen=True)
class RunConfig(_Schema):
    """Everything a training run depends on; saved with the run."""

    stage: Stage = "finetune"
    """what the run is: pre-training on boxes, or fine-tuning with identities"""
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    weights: WeightsConfig = WeightsConfig()
    validation: ValidationConfig = ValidationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    trainer: TrainerConfig = TrainerConfig()
    logger: LoggerName = "tensorboard"
    """where metrics go beside `logs/*.csv`: TensorBoard, Lightning's CSV files, Weights & Biases, MLflow or nowhere"""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """of weights, order and augmentation"""
