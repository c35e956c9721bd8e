"""SOLIDER's Swin: its names, its patch merging and its semantic embedding, against a plain reading of what they do."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus, unfold

from spnet.config.schema import BackboneConfig
from spnet.errors import UserError
from spnet.models.backbone import Backbone

SWIN = BackboneConfig(
    "swin_tiny_patch4_window7_224",
    "none",
    0.0,
    {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)},
    semantic_weight=0.6,
)
CHANNELS = (8, 16, 32, 64)
TO_SOLIDER = (
    (r"^patch_embed\.proj\.", "patch_embed.projection."),
    (r"^layers\.(\d+)\.blocks\.", r"stages.\1.blocks."),
    (r"\.attn\.", ".attn.w_msa."),
    (r"\.mlp\.fc1\.", ".ffn.layers.0.0."),
    (r"\.mlp\.fc2\.", ".ffn.layers.1."),
)


@pytest.fixture(scope="module")
def solider() -> dict[str, Tensor]:
    """A miniature checkpoint as SOLIDER has it: random, its names made from timm's."""
    torch.manual_seed(0)
    state = {}
    for name, value in Backbone(replace(SWIN, semantic_weight=None)).net.state_dict().items():
        if "downsample" in name or name.startswith("norm."):
            continue
        for pattern, replacement in TO_SOLIDER:
            name = re.sub(pattern, replacement, name)
        state[name] = torch.randn_like(value)
    for stage in range(3):
        inside, outside = 4 * CHANNELS[stage], CHANNELS[stage + 1]
        state[f"stages.{stage}.downsample.norm.weight"] = torch.randn(inside)
        state[f"stages.{stage}.downsample.norm.bias"] = torch.randn(inside)
        state[f"stages.{stage}.downsample.reduction.weight"] = torch.randn(outside, inside) / inside**0.5
    for stage, dims in enumerate((*CHANNELS[1:], CHANNELS[3])):
        for kind in "wb":
            state[f"semantic_embed_{kind}.{stage}.weight"] = torch.randn(dims, 2)
            state[f"semantic_embed_{kind}.{stage}.bias"] = torch.randn(dims)
    for stage, dims in enumerate(CHANNELS):
        state |= {f"norm{stage}.weight": torch.ones(dims), f"norm{stage}.bias": torch.zeros(dims)}
    return state


def merge(state: dict[str, Tensor], stage: int, maps: Tensor, weight: float) -> Tensor:
    """Patch merging and semantic control as OpenMMLab and SOLIDER do it: (B, C, H, W) -> (B, H/2 · W/2, 2 C)."""
    patches = unfold(maps, 2, stride=2).transpose(1, 2)
    norm = nn.functional.layer_norm(
        patches,
        patches.shape[-1:],
        state[f"stages.{stage}.downsample.norm.weight"],
        state[f"stages.{stage}.downsample.norm.bias"],
    )
    merged = norm @ state[f"stages.{stage}.downsample.reduction.weight"].T
    mixture = torch.tensor([weight, 1 - weight])
    scale, shift = (
        mixture @ state[f"semantic_embed_{kind}.{stage}.weight"].T + state[f"semantic_embed_{kind}.{stage}.bias"]
        for kind in "wb"
    )
    return merged * softplus(scale) + shift


@pytest.mark.parametrize("prefix", ["", "backbone.", "teacher.backbone."])
def test_every_stage_starts_with_their_merging(solider: dict[str, Tensor], prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "solider.pth"
    torch.save({"state_dict": {prefix + name: value for name, value in solider.items()}}, file)
    net = Backbone(replace(SWIN, weights=str(file))).net
    for stage in range(3):
        maps = torch.randn(2, CHANNELS[stage], 6, 8)
        found = net.layers[stage + 1].downsample(maps.permute(0, 2, 3, 1)).flatten(1, 2)
        torch.testing.assert_close(found, merge(solider, stage, maps, 0.6), rtol=1e-4, atol=1e-5)


def test_blocks_and_stem_are_theirs(solider: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(solider, tmp_path / "solider.pth")
    state = Backbone(replace(SWIN, weights=str(tmp_path / "solider.pth"))).net.state_dict()
    for ours, theirs in {
        "patch_embed.proj.weight": "patch_embed.projection.weight",
        "layers.2.blocks.0.attn.qkv.bias": "stages.2.blocks.0.attn.w_msa.qkv.bias",
        "layers.3.blocks.0.mlp.fc2.weight": "stages.3.blocks.0.ffn.layers.1.weight",
        "layers.0.blocks.0.norm2.bias": "stages.0.blocks.0.norm2.bias",
    }.items():
        assert torch.equal(state[ours], solider[theirs]), ours


def test_the_copied_last_stage_merges_alike(solider: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(solider, tmp_path / "solider.pth")
    stage = Backbone(replace(SWIN, weights=str(tmp_path / "solider.pth"))).copy_last_stage()
    assert any(name.endswith("downsample.reduction.bias") for name in stage.state_dict())


def test_mistakes_are_one_line(solider: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(solider, tmp_path / "solider.pth")
    with pytest.raises(UserError, match=r"are SOLIDER's: give model\.backbone\.semantic_weight, 0\.6"):
        Backbone(replace(SWIN, weights=str(tmp_path / "solider.pth"), semantic_weight=None))
    plain = {name: value for name, value in solider.items() if not name.startswith("semantic_embed_w.1")}
    torch.save(plain, tmp_path / "plain.pth")
    with pytest.raises(UserError, match=r"semantic_embed_w\.1\.weight is missing"):
        Backbone(replace(SWIN, weights=str(tmp_path / "plain.pth")))
    with pytest.raises(UserError, match="needs a Swin backbone"):
        Backbone(BackboneConfig("resnet10t", "none", 0.0, semantic_weight=0.6))
