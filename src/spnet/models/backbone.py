"""Backbone and features: an image becomes P3..P7.

Any hierarchical timm model with features at strides 8, 16 and 32 serves as the backbone.
"""

import copy
from typing import Any

import timm
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spnet.config.schema import BackboneConfig
from spnet.errors import UserError
from spnet.models.pretrained import first_line, load_pretrained, timm_tag
from spnet.models.solider import add_merging_bias
from spnet.models.swin import use_any_size

STRIDES = (8, 16, 32)
# options of `timm.create_model` that load files or fetch them, which `model.backbone.weights` alone decides
LOADING = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}


class Backbone(nn.Module):
    """A timm model seen as the stages C3, C4, C5 (docs/method.md, "Network").

    Args:
        config: name, weights and stochastic depth.
        with_classifier: keep the ImageNet classifier (learning without forgetting needs it).

    Raises:
        UserError: the name is unknown to timm, or the model has no features at strides 8, 16 and 32.
    """

    pixel_mean: Tensor  # (1, 3, 1, 1) of values 0..255
    pixel_std: Tensor

    def __init__(self, config: BackboneConfig, with_classifier: bool = False) -> None:
        super().__init__()
        self.has_classifier = with_classifier
        self.net: Any = _create(config, with_classifier)  # any timm model: no type says what they share
        by_stride = {info["reduction"]: index for index, info in enumerate(self.net.feature_info)}
        missing = [stride for stride in STRIDES if stride not in by_stride]
        if missing or not hasattr(self.net, "forward_intermediates"):
            raise UserError(
                f"backbone {config.name!r} has no features at strides {missing or STRIDES}; choose a hierarchical model"
            )
        self.indices = [by_stride[stride] for stride in STRIDES]
        dropped = [] if with_classifier else _drop_classifier(self.net, self.indices)
        load_pretrained(self.net, config, dropped)
        self._set_normalization(self.net.pretrained_cfg)
        self.channels: list[int] = [self.net.feature_info[index]["num_chs"] for index in self.indices]

    def _set_normalization(self, pretrained: dict[str, Any]) -> None:
        """Keep what timm says of the weights' images: ImageNet's mean and deviation, of some models others."""
        for name, default in (("mean", IMAGENET_DEFAULT_MEAN), ("std", IMAGENET_DEFAULT_STD)):
            channels = torch.tensor(pretrained.get(name, default)).view(1, 3, 1, 1) * 255
            self.register_buffer(f"pixel_{name}", channels, persistent=False)

    def normalize(self, images: Tensor, sizes: Tensor) -> Tensor:
        """uint8 RGB (B, 3, H, W) -> as the weights were trained, zero in the padding; float input passes unchanged."""
        if images.is_floating_point():
            return images.contiguous(memory_format=torch.channels_last)
        rows = torch.arange(images.shape[2], device=images.device)
        columns = torch.arange(images.shape[3], device=images.device)
        inside = (rows[None, :, None] < sizes[:, 0, None, None]) & (columns[None, None, :] < sizes[:, 1, None, None])
        images = images.contiguous(memory_format=torch.channels_last).float()
        return (images - self.pixel_mean) / self.pixel_std * inside[:, None]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalized -> C3, C4, C5, each (B, C, H/stride, W/stride)."""
        stages: list[Tensor] = self.net.forward_intermediates(
            images, indices=self.indices, output_fmt="NCHW", intermediates_only=True
        )
        return stages

    def forward_with_classes(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """As `forward`, and the ImageNet class logits (B, classes)."""
        last, features = self.net.forward_intermediates(images, indices=self.indices, output_fmt="NCHW")
        return features, self.net.forward_head(last)

    def copy_last_stage(self) -> "RoIStage":
        """A trainable copy of everything between C4 and C5, for regions."""
        names = [self.net.feature_info[index]["module"] for index in self.indices[1:]]
        parent_name, _, first = names[0].rpartition(".")
        _, _, last = names[1].rpartition(".")
        children = list(self.net.get_submodule(parent_name).named_children())
        order = [name for name, _ in children]
        between = [module for _, module in children[order.index(first) + 1 : order.index(last) + 1]]
        channels_last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"
        return RoIStage(copy.deepcopy(nn.Sequential(*between)), channels_last)


def _create(config: BackboneConfig, with_classifier: bool) -> Any:
    if ":" in config.name or LOADING & config.model_kwargs.keys():
        raise UserError(
            f"backbone {config.name!r} with model_kwargs {config.model_kwargs}: only models that timm itself has are "
            f"made, and only model.backbone.weights says what is loaded (not {', '.join(sorted(LOADING))})"
        )
    tag = timm_tag(config)
    name = f"{config.name}.{tag}" if tag else config.name
    options = dict(config.model_kwargs)
    if config.name.startswith("swin"):
        # any image size, and windows that do not depend on a nominal one
        options = {"strict_img_size": False, "always_partition": True, **options}
    if not with_classifier:
        options["num_classes"] = 0
    options["drop_path_rate"] = config.drop_path
    try:
        net = _create_model(name, tag is not None, options)
    except UserError:
        raise
    except (RuntimeError, TypeError, ValueError, LookupError, OSError, AssertionError) as error:
        close = timm.list_models(config.name.split("_")[0] + "*")[:8]
        raise UserError(
            f"backbone {config.name!r} with weights {config.weights!r} and model_kwargs {config.model_kwargs}: "
            f"{first_line(error)}; timm has, e.g., {close}"
        ) from error
    use_any_size(net)
    if config.semantic_weight is not None:
        add_merging_bias(net)
    return net


def _create_model(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    """`timm.create_model`; without stochastic depth, also for the models that do not know the word."""
    try:
        return timm.create_model(name, pretrained=pretrained, **options)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        if options.pop("drop_path_rate"):
            raise UserError(f"backbone {name!r} has no stochastic depth: set model.backbone.drop_path 0") from error
        return timm.create_model(name, pretrained=pretrained, **options)


def _drop_classifier(net: Any, indices: list[int]) -> list[str]:
    """Drop what comes after C5, so that no parameter is left without a gradient; returns the names of what is gone."""
    whole = list(net.state_dict())
    net.prune_intermediate_layers(indices, prune_norm=True, prune_head=True)
    if hasattr(net, "head"):
        net.head = nn.Identity()
    classifiers = net.pretrained_cfg.get("classifier") or ()
    classifiers = [classifiers] if isinstance(classifiers, str) else list(classifiers)
    kept = set(net.state_dict())
    return classifiers + [name for name in whole if name not in kept]


class RoIStage(nn.Module):
    """The backbone's last stage on pooled regions: (R, C4, 14, 14) -> (R, C5, 7, 7)."""

    def __init__(self, stage: nn.Sequential, channels_last: bool) -> None:
        super().__init__()
        self.stage = stage
        self.channels_last = channels_last
        self.grad_checkpointing = False

    def set_grad_checkpointing(self, enable: bool) -> None:
        """Compute activations again in the backward pass: block by block where timm's stage can, else all at once."""
        stages: list[Any] = [module for module in self.stage.modules() if hasattr(module, "grad_checkpointing")]
        for stage in stages:
            stage.grad_checkpointing = enable
        self.grad_checkpointing = enable and not stages

    def forward(self, regions: Tensor) -> Tensor:
        if not self.channels_last:
            return self._run(regions)
        return self._run(regions.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()

    def _run(self, regions: Tensor) -> Tensor:
        if self.grad_checkpointing and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(self.stage, regions, use_reentrant=False)
            return recomputed
        output: Tensor = self.stage(regions)
        return output
