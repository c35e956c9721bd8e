"""Initial weights of the backbone: from torchvision's ImageNet classifier, from timm by name, or from a local file."""

import re
from collections.abc import Collection
from http.client import HTTPException
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_model_weights

from spnet.config.schema import BackboneConfig
from spnet.errors import UserError
from spnet.models.solider import is_solider, solider_to_timm
from spnet.models.torch_file import load_torch_file

State = dict[str, Tensor]

TORCHVISION_NAMES = {
    **{f"convnext_{size}": f"convnext_{size}" for size in ("tiny", "small", "base", "large")},
    "swin_tiny_patch4_window7_224": "swin_t",
    "swin_small_patch4_window7_224": "swin_s",
    "swin_base_patch4_window7_224": "swin_b",
    "resnet50": "resnet50",
}

# torchvision's `features.<n>`: stem, then stage, downsampling, stage, ...; timm puts the downsampling into its stage
_CONVNEXT = (
    (r"^features\.0\.", lambda m: "stem."),
    (r"^features\.([246])\.", lambda m: f"stages.{int(m[1]) // 2}.downsample."),
    (r"^features\.([1357])\.", lambda m: f"stages.{int(m[1]) // 2}.blocks."),
    (r"\.layer_scale$", lambda m: ".gamma"),
    (r"\.block\.0\.", lambda m: ".conv_dw."),
    (r"\.block\.2\.", lambda m: ".norm."),
    (r"\.block\.3\.", lambda m: ".mlp.fc1."),
    (r"\.block\.5\.", lambda m: ".mlp.fc2."),
    (r"^classifier\.0\.", lambda m: "head.norm."),
    (r"^classifier\.2\.", lambda m: "head.fc."),
)
_SWIN = (
    (r"^features\.0\.0\.", lambda m: "patch_embed.proj."),
    (r"^features\.0\.2\.", lambda m: "patch_embed.norm."),
    (r"^features\.([246])\.", lambda m: f"layers.{int(m[1]) // 2}.downsample."),
    (r"^features\.([1357])\.", lambda m: f"layers.{int(m[1]) // 2}.blocks."),
    (r"\.mlp\.0\.", lambda m: ".mlp.fc1."),
    (r"\.mlp\.3\.", lambda m: ".mlp.fc2."),
    (r"^head\.(?!fc\.)", lambda m: "head.fc."),
)


def torchvision_to_timm(state: State) -> State:
    """Rename torchvision's ConvNeXt, Swin or ResNet parameters to timm's; names of other models pass unchanged."""
    swin = any("relative_position_bias_table" in name for name in state)
    rules = _SWIN if swin else _CONVNEXT if any(name.startswith("features.") for name in state) else ()
    renamed = {}
    for name, value in state.items():
        if name.endswith(("relative_position_index", "attn_mask")):  # timm computes them
            continue
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value.flatten() if name.endswith(".gamma") else value
    return renamed


def read_state(path: Path) -> State:
    """Tensors of a .safetensors or a pickled weights file, in which nothing is executed.

    Raises:
        UserError: the file is missing or is no weights file.
    """
    if not path.is_file():
        raise UserError(f"weights {str(path)!r}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with path.open("rb") as stream:
            content = load_torch_file(stream)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"weights {str(path)!r}: not a readable weights file ({first_line(error)})") from error
    content = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise UserError(f"weights {str(path)!r}: holds no table of named tensors")
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def timm_tag(config: BackboneConfig) -> str | None:
    """Which of timm's weights to load: a tag, `` for the default ones, None for weights that are not timm's."""
    source, _, tag = config.weights.partition(":")
    return tag if source == "timm" else None


def load_pretrained(net: nn.Module, config: BackboneConfig, dropped: Collection[str]) -> None:
    """Fill a timm model as `config.weights` says; timm's own weights are loaded when the model is made.

    Args:
        dropped: names of parameters (or beginnings of names) that the whole model has and this one does without.

    Raises:
        UserError: weights that do not exist or do not fit, with the keys that are missing, unknown or of another shape.
    """
    if config.weights == "none" or timm_tag(config) is not None:
        return
    state = _torchvision_classifier(config) if config.weights == "imagenet" else read_state(Path(config.weights))
    state = _to_timm(state, config)
    own = net.state_dict()
    problems = {
        # old files count no batches, and load_state_dict() knows that
        "missing": [name for name in own if name not in state and not name.endswith("num_batches_tracked")],
        "unknown": [name for name in state if name not in own and not name.startswith(tuple(dropped))],
        "of another shape": [name for name in own if name in state and state[name].shape != own[name].shape],
    }
    if any(problems.values()):
        found = "; ".join(f"{len(names)} keys {kind}, e.g. {names[:3]}" for kind, names in problems.items() if names)
        raise UserError(f"backbone weights {config.weights!r} do not fit {config.name!r}: {found}")
    net.load_state_dict({name: state[name] for name in own if name in state})


def _to_timm(state: State, config: BackboneConfig) -> State:
    """Any known names -> timm's. Raises UserError for SOLIDER's weights without a semantic weight."""
    if not is_solider(state):
        return torchvision_to_timm(state)
    if config.semantic_weight is None:
        raise UserError(
            f"backbone weights {config.weights!r} are SOLIDER's: give model.backbone.semantic_weight, 0.6 in the "
            "authors' configurations"
        )
    return solider_to_timm(state, config.semantic_weight)


def _torchvision_classifier(config: BackboneConfig) -> State:
    if config.name not in TORCHVISION_NAMES:
        raise UserError(
            f"backbone weights 'imagenet' do not exist for {config.name!r}; choose 'timm', 'none' or a file, "
            f"or one of the backbones {sorted(TORCHVISION_NAMES)}"
        )
    weights = get_model_weights(TORCHVISION_NAMES[config.name])["IMAGENET1K_V1"]
    try:
        state: State = weights.get_state_dict(progress=True)
        return state
    except (OSError, HTTPException, RuntimeError) as error:  # no network, cut off, or not what was promised
        raise UserError(
            f"backbone weights 'imagenet' of {config.name!r} cannot be fetched from {weights.url} "
            f"({first_line(error)}); give a local file instead"
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return next(iter(str(error).splitlines()), type(error).__name__)
