"""Trunks by name: strides, channels, the last stage's copy; and what enters them."""

import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from miniature import TRUNK, make_config
from spnet.config import TrunkConfig
from spnet.errors import UserError
from spnet.model.network import SPNet
from spnet.model.trunk import FeaturePyramid, Trunk, normalise

SMALL = {
    "convnext": TRUNK,
    "swin": TrunkConfig(
        "swin_tiny_patch4_window7_224",
        "none",
        0.0,
        {"depths": (1, 1, 1, 2), "embed_dim": 12, "num_heads": (1, 2, 3, 4)},
    ),
    "resnet": TrunkConfig("resnet18", "none", 0.0, {"channels": (8, 8, 12, 16)}),
    "regnet": TrunkConfig("regnety_002", "none", 0.0),
    "efficientnet": TrunkConfig("efficientnet_b0", "none", 0.0),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("with_classifier", [False, True])
@torch.no_grad()
def test_stages_have_their_strides_and_channels(name: str, with_classifier: bool) -> None:
    trunk = Trunk(SMALL[name], with_classifier).eval()
    images = torch.randn(2, 3, 64, 96)
    stages = trunk(images)
    shapes = [tuple(stage.shape[1:]) for stage in stages]
    assert shapes == [(trunk.channels[i], 64 // stride, 96 // stride) for i, stride in enumerate((8, 16, 32))]
    if with_classifier:
        again, classes = trunk.forward_with_classes(images)
        assert classes.shape == (2, 1000)
        for stage, same in zip(stages, again, strict=True):
            torch.testing.assert_close(stage, same)


@pytest.mark.parametrize("name", SMALL)
def test_copy_is_what_lies_between_c4_and_c5(name: str) -> None:
    torch.manual_seed(0)
    trunk = Trunk(SMALL[name])
    copy = trunk.copy_last_stage()
    images = torch.randn(2, 3, 14 * 16, 14 * 16)  # C4 as large as a region
    with torch.no_grad():
        _, middle, last = trunk.eval()(images)
        torch.testing.assert_close(copy.eval()(middle), last)
    assert not {id(p) for p in copy.parameters()} & {id(p) for p in trunk.parameters()}
    assert all(p.requires_grad for p in copy.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_no_parameter_is_without_a_use(name: str) -> None:
    trunk = Trunk(SMALL[name])
    sum(stage.square().sum() for stage in trunk(torch.randn(2, 3, 64, 64))).backward()
    assert [name for name, parameter in trunk.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", ["convnext", "swin"])
def test_stochastic_depth_is_in_the_copy_too(name: str) -> None:
    config = TrunkConfig(SMALL[name].name, "none", 0.5, SMALL[name].options)
    copy = Trunk(config).copy_last_stage()
    assert max(getattr(module, "drop_prob", 0) or 0 for module in copy.modules()) == pytest.approx(0.5)


def test_the_pyramid_has_five_levels_as_wide_as_c4() -> None:
    network = SPNet(make_config())
    pyramid = network.features(torch.zeros(2, 3, 64, 96), torch.tensor([[64, 96], [50, 60]]))
    assert [tuple(level.shape) for level in pyramid.levels] == [
        (2, 16, *shape) for shape in ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))
    ]
    assert pyramid.padded_size == (64, 96)


def test_p6_comes_from_c5_even_where_the_widths_agree() -> None:
    fpn = FeaturePyramid([4, 8, 8])
    stages = [torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4), torch.randn(1, 8, 2, 2)]
    levels = fpn(stages, torch.tensor([[64, 64]]), (64, 64)).levels
    torch.testing.assert_close(levels[3], fpn.fpn.extra_blocks.p6(stages[2]))  # type: ignore[union-attr, operator]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TrunkConfig("convnext_gigantic", "none"), "Unknown model"),
        (TrunkConfig("convnext_tiny", "none", 0.0, {"dephts": (1, 1, 1, 1)}), "dephts"),
        (TrunkConfig("convnext_tiny", "none", 0.0, {"depths": (1, 1)}), "out of range"),
        (TrunkConfig("vit_tiny_patch16_224", "none", 0.0, {"depth": 1}), r"no features at strides \[8, 32\]"),
    ],
)
def test_a_trunk_that_cannot_be_is_the_users_mistake(config: TrunkConfig, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Trunk(config)
    assert config.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_are_normalised_and_their_padding_is_zero() -> None:
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    sizes = torch.tensor([[32, 64], [20, 33]])
    result = normalise(images, sizes)
    for image, size, (height, width) in zip(images, result, sizes.tolist(), strict=True):
        expected = normalize(image[:, :height, :width].float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        torch.testing.assert_close(size[:, :height, :width], expected, rtol=1e-4, atol=1e-4)
        assert size[:, height:].abs().sum() == 0
        assert size[:, :, width:].abs().sum() == 0


def test_pictures_that_are_normalised_already_pass_unchanged() -> None:
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(normalise(images, torch.tensor([[10, 10]])), images)
