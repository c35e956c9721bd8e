"""Shifted windows, against torchvision's block: maps that are no multiple of windows, and maps of a single one."""

import copy

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock
from torchvision.models.swin_transformer import SwinTransformerBlock as TorchvisionBlock

from spnet.models.pretrained import torchvision_to_timm
from spnet.models.swin import AnySizeBlock, use_any_size


def make_blocks(shift: int) -> tuple[SwinTransformerBlock, TorchvisionBlock]:
    torch.manual_seed(0)
    theirs = TorchvisionBlock(12, 3, [7, 7], [shift, shift]).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    ours = SwinTransformerBlock(12, (56, 56), 3, window_size=7, shift_size=shift, dynamic_mask=True).eval()
    state = torchvision_to_timm({f"features.1.0.{name}": value for name, value in theirs.state_dict().items()})
    ours.load_state_dict({name.removeprefix("layers.0.blocks.0."): value for name, value in state.items()})
    use_any_size(ours)
    return ours, theirs


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("size", [(14, 21), (16, 16), (20, 7), (5, 30), (7, 7), (3, 2)])
@torch.no_grad()
def test_block_is_torchvisions(shift: int, size: tuple[int, int]) -> None:
    ours, theirs = make_blocks(shift)
    maps = torch.randn(2, *size, 12)
    torch.testing.assert_close(ours(maps), theirs(maps), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_copies_stay_such_blocks_on_their_own() -> None:
    ours, _ = make_blocks(3)
    maps = torch.randn(1, 9, 9, 12)
    copied = copy.deepcopy(ours)
    assert isinstance(copied, AnySizeBlock)
    expected = ours(maps)
    torch.nn.init.zeros_(ours.attn.qkv.weight)
    torch.testing.assert_close(copied(maps), expected)
