"""Reads Swin weights of SOLIDER, whose names and patch merging are those of OpenMMLab's Swin.

SOLIDER scales and shifts each stage's merged patches by an embedding of its *semantic weight*. At a fixed weight that
is one affine map a channel behind a linear layer, so it is folded into the layer, which gets a bias for it.
"""

import re

import torch
from timm.models.swin_transformer import PatchMerging
from torch import Tensor, nn
from torch.nn.functional import softplus

from spnet.errors import UserError

STEM = "patch_embed.projection.weight"
_RULES = (
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^stages\.(\d+)\.blocks\.", r"layers.\1.blocks."),
    (r"\.attn\.w_msa\.", ".attn."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
)
# timm computes the index; the norms of the stages' outputs have no place in a pyramid, as in torchvision's Swin
_LEFT_OUT = r"relative_position_index$|^norm\d\.|^semantic_embed_|^head\."


def is_solider(state: dict[str, Tensor]) -> bool:
    """Whether names are those of OpenMMLab's Swin, at any depth of modules."""
    return any(name.endswith(STEM) for name in state)


def add_merging_bias(net: nn.Module) -> None:
    """Give every patch merging of a timm Swin a bias, zero at first, that SOLIDER's semantic shift can be folded into.

    Raises:
        UserError: a backbone without patch merging.
    """
    mergings = [module for module in net.modules() if isinstance(module, PatchMerging)]
    if not mergings:
        raise UserError("model.backbone.semantic_weight needs a Swin backbone; drop the key")
    for merging in mergings:
        merging.reduction.bias = nn.Parameter(torch.zeros(merging.out_dim))


def solider_to_timm(state: dict[str, Tensor], semantic_weight: float) -> dict[str, Tensor]:
    """Parameters under SOLIDER's names -> timm's, the semantic embedding at this weight folded into the merging layers.

    Raises:
        UserError: no semantic embedding, as in a plain Swin of OpenMMLab.
    """
    prefix = next(name for name in state if name.endswith(STEM)).removesuffix(STEM)
    state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if merging := re.match(r"^stages\.(\d+)\.downsample\.(norm|reduction)\.(\w+)$", name):
            renamed[f"layers.{int(merging[1]) + 1}.downsample.{merging[2]}.{merging[3]}"] = _reorder(value)
        elif not re.search(_LEFT_OUT, name):
            for pattern, replacement in _RULES:
                name = re.sub(pattern, replacement, name)
            renamed[name] = value
    return renamed | _fold(renamed, state, semantic_weight)


def _reorder(value: Tensor) -> Tensor:
    """Inputs of the merging layer (..., 4 C): from channel, row, column to timm's column, row, channel."""
    parts: Tensor = value.unflatten(-1, (-1, 2, 2))
    return parts.transpose(-1, -3).flatten(-3)


def _fold(renamed: dict[str, Tensor], state: dict[str, Tensor], weight: float) -> dict[str, Tensor]:
    mixture = torch.tensor([weight, 1 - weight])
    folded: dict[str, Tensor] = {}
    for stage in range(3):
        parts = [f"semantic_embed_{kind}.{stage}.{part}" for kind in "wb" for part in ("weight", "bias")]
        if missing := [name for name in parts if name not in state]:
            raise UserError(f"no weights of SOLIDER: {missing[0]} is missing; drop model.backbone.semantic_weight")
        scale = softplus(state[parts[0]] @ mixture + state[parts[1]])
        layer = f"layers.{stage + 1}.downsample.reduction"
        folded[f"{layer}.weight"] = renamed[f"{layer}.weight"] * scale[:, None]
        folded[f"{layer}.bias"] = state[parts[2]] @ mixture + state[parts[3]]
    return folded
