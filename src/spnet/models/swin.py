"""Swin's shifted windows on maps of any size, as torchvision (and so the paper) has them.

timm pads a map after it has been shifted, where its mask no longer separates what the shift brought together; and it
shifts by the size a model was made for, not by the map it sees. Both only matter where a map is no multiple of windows.
"""

import torch
from timm.models.swin_transformer import SwinTransformerBlock, window_partition, window_reverse
from torch import Tensor, nn
from torch.nn.functional import pad

APART = -100.0  # added to the attention between places that are no neighbours


class AnySizeBlock(SwinTransformerBlock):
    """A block that pads first, and shifts nothing along a side of one window."""

    def _attn(self, maps: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, h, w, C)."""
        _, height, width, channels = maps.shape
        window = self.window_size
        maps = pad(maps, (0, 0, 0, -width % window[1], 0, -height % window[0]))
        size = (maps.shape[1], maps.shape[2])
        shift = [step if length > side else 0 for step, length, side in zip(self.shift_size, size, window, strict=True)]
        back = [-step for step in shift]
        windows = window_partition(maps.roll(back, (1, 2)), window).view(-1, self.window_area, channels)
        attended = self.attn(windows, mask=self._mask(size, shift, maps) if any(shift) else None)
        maps = window_reverse(attended.view(-1, *window, channels), window, *size)
        return maps.roll(shift, (1, 2))[:, :height, :width].contiguous()

    def _mask(self, size: tuple[int, int], shift: list[int], like: Tensor) -> Tensor:
        """(windows, area, area): 0 between places that were neighbours before the shift, APART between others."""
        rows, columns = (
            (torch.arange(length, device=like.device) >= length - step).to(like.dtype)
            for length, step in zip(size, shift, strict=True)
        )
        origin = (2 * rows[:, None] + columns)[None, :, :, None]
        windows = window_partition(origin, self.window_size).view(-1, self.window_area)
        return torch.where(windows[:, None] == windows[:, :, None], 0.0, APART).to(like.dtype)


def use_any_size(net: nn.Module) -> None:
    """Make the blocks of a timm Swin such blocks; parameters and their names stay."""
    for module in net.modules():
        if type(module) is SwinTransformerBlock:
            module.__class__ = AnySizeBlock
