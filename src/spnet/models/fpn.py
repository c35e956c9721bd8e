"""The feature pyramid: the backbone's C3..C5 become P3..P7."""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7


@dataclass(frozen=True)
class FeatureMaps:
    """P3..P7 of a batch, and what is needed to place things on it."""

    levels: list[Tensor]  # five of (B, C, h, w), finest first; or the finest alone
    sizes: Tensor  # (B, 2) int64 height, width of the images without padding
    padded_size: tuple[int, int]  # height, width of the batch


class FeaturePyramid(nn.Module):
    """FPN over C3..C5, plus P6 and P7; as wide as C4, so that the last stage's copy can run on regions of P3."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.width = channels[1]
        extra = LastLevelP6P7(channels[2], self.width)
        extra.use_P5 = False  # from C5, also where it happens to be as wide as P5
        self.net = FeaturePyramidNetwork(channels, self.width, extra_blocks=extra)

    def forward(self, stages: list[Tensor], sizes: Tensor, padded_size: tuple[int, int]) -> FeatureMaps:
        """C3, C4, C5 -> the features."""
        named = OrderedDict((str(index), stage) for index, stage in enumerate(stages))
        return FeatureMaps(list(self.net(named).values()), sizes, padded_size)

    def beside_finest(self) -> list[nn.Module]:
        """What `finest` leaves out."""
        return [*self.net.layer_blocks[1:], self.net.get_submodule("extra_blocks")]

    def finest(self, stages: list[Tensor], sizes: Tensor, padded_size: tuple[int, int]) -> FeatureMaps:
        """C3, C4, C5 -> P3 alone, for who needs no anchors: without the convolutions of the other levels."""
        inner = self.net.inner_blocks[-1](stages[-1])
        for block, stage in zip(reversed(self.net.inner_blocks[:-1]), reversed(stages[:-1]), strict=True):
            inner = block(stage) + interpolate(inner, stage.shape[-2:], mode="nearest")
        return FeatureMaps([self.net.layer_blocks[0](inner)], sizes, padded_size)
