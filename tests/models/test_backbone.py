"""Backbones by name: strides, channels, the last stage's copy; and what enters them."""

from dataclasses import replace

import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from miniature import BACKBONE, make_config
from spnet.config.schema import BackboneConfig
from spnet.errors import UserError
from spnet.models.backbone import Backbone
from spnet.models.fpn import FeaturePyramid
from spnet.models.spnet import SPNet

SMALL = {
    "convnext": BACKBONE,
    "swin": BackboneConfig(
        "swin_tiny_patch4_window7_224",
        "none",
        0.0,
        {"depths": (1, 1, 1, 2), "embed_dim": 12, "num_heads": (1, 2, 3, 4)},
    ),
    "resnet": BackboneConfig("resnet18", "none", 0.0, {"channels": (8, 8, 12, 16)}),
    "regnet": BackboneConfig("regnety_002", "none", 0.0),
    "efficientnet": BackboneConfig("efficientnet_b0", "none", 0.0),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("with_classifier", [False, True])
@torch.no_grad()
def test_stages_have_their_strides_and_channels(name: str, with_classifier: bool) -> None:
    backbone = Backbone(SMALL[name], with_classifier).eval()
    images = torch.randn(2, 3, 64, 96)
    stages = backbone(images)
    shapes = [tuple(stage.shape[1:]) for stage in stages]
    assert shapes == [(backbone.channels[i], 64 // stride, 96 // stride) for i, stride in enumerate((8, 16, 32))]
    if with_classifier:
        again, classes = backbone.forward_with_classes(images)
        assert classes.shape == (2, 1000)
        for stage, same in zip(stages, again, strict=True):
            torch.testing.assert_close(stage, same)


@pytest.mark.parametrize("name", SMALL)
def test_copy_is_what_lies_between_c4_and_c5(name: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(SMALL[name])
    copy = backbone.copy_last_stage()
    images = torch.randn(2, 3, 14 * 16, 14 * 16)  # C4 as large as a region
    with torch.no_grad():
        _, middle, last = backbone.eval()(images)
        torch.testing.assert_close(copy.eval()(middle), last)
    assert not {id(p) for p in copy.parameters()} & {id(p) for p in backbone.parameters()}
    assert all(p.requires_grad for p in copy.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_no_boxes_have_no_embeddings(name: str) -> None:
    """Not every last stage can do with no region."""
    network = SPNet(replace(make_config(), backbone=SMALL[name])).eval()
    with torch.no_grad():
        features = network.features(torch.zeros(1, 3, 64, 64), torch.tensor([[64, 64]]))
        embeddings = network.embed(features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert embeddings.shape == (0, network.config.reid_dim)


@torch.no_grad()
def test_an_exported_network_embeds_no_boxes_either() -> None:
    """torch.export leaves out a maximum of what it takes to be positive."""
    network = SPNet(replace(make_config(), backbone=SMALL["swin"])).eval()
    features = network.features(torch.zeros(1, 3, 64, 64), torch.tensor([[64, 64]]))

    class Embed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, boxes: torch.Tensor) -> torch.Tensor:
            return self.network.embed(features, boxes, torch.zeros_like(boxes[:, 0], dtype=torch.int64))

    boxes = torch.tensor([[0.0, 0.0, 30.0, 40.0]]).expand(3, -1)
    program = torch.export.export(Embed(), (boxes,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    embed = program.module()
    torch.testing.assert_close(embed(boxes[:2]), Embed()(boxes[:2]))
    assert embed(boxes[:0]).shape == (0, network.config.reid_dim)


@pytest.mark.parametrize("name", SMALL)
def test_no_parameter_is_without_a_use(name: str) -> None:
    backbone = Backbone(SMALL[name])
    sum(stage.square().sum() for stage in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", ["convnext", "swin"])
def test_stochastic_depth_is_in_the_copy_too(name: str) -> None:
    config = BackboneConfig(SMALL[name].name, "none", 0.5, SMALL[name].model_kwargs)
    copy = Backbone(config).copy_last_stage()
    assert max(getattr(module, "drop_prob", 0) or 0 for module in copy.modules()) == pytest.approx(0.5)


def test_the_pyramid_has_five_levels_as_wide_as_c4() -> None:
    network = SPNet(make_config())
    features = network.features(torch.zeros(2, 3, 64, 96), torch.tensor([[64, 96], [50, 60]]))
    assert [tuple(level.shape) for level in features.levels] == [
        (2, 16, *shape) for shape in ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1))
    ]
    assert features.padded_size == (64, 96)


def test_p6_comes_from_c5_even_where_the_widths_agree() -> None:
    fpn = FeaturePyramid([4, 8, 8])
    stages = [torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4), torch.randn(1, 8, 2, 2)]
    levels = fpn(stages, torch.tensor([[64, 64]]), (64, 64)).levels
    torch.testing.assert_close(levels[3], fpn.net.get_submodule("extra_blocks.p6")(stages[2]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BackboneConfig("convnext_gigantic", "none"), "Unknown model"),
        (BackboneConfig("convnext_tiny", "none", 0.0, {"dephts": (1, 1, 1, 1)}), "dephts"),
        (BackboneConfig("convnext_tiny", "none", 0.0, {"depths": (1, 1)}), "out of range"),
        (BackboneConfig("vit_tiny_patch16_224", "none", 0.0, {"depth": 1}), r"no features at strides \[8, 32\]"),
    ],
)
def test_a_backbone_that_cannot_be_is_the_users_mistake(config: BackboneConfig, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Backbone(config)
    assert config.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_are_normalized_and_their_padding_is_zero() -> None:
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    sizes = torch.tensor([[32, 64], [20, 33]])
    result = Backbone(BackboneConfig("resnet10t", "none", 0.0)).normalize(images, sizes)
    for image, size, (height, width) in zip(images, result, sizes.tolist(), strict=True):
        expected = normalize(image[:, :height, :width].float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        torch.testing.assert_close(size[:, :height, :width], expected, rtol=1e-4, atol=1e-4)
        assert size[:, height:].abs().sum() == 0
        assert size[:, :, width:].abs().sum() == 0


def test_images_that_are_normalized_already_pass_unchanged() -> None:
    images = torch.randn(1, 3, 32, 32)
    backbone = Backbone(BackboneConfig("resnet10t", "none", 0.0))
    assert torch.equal(backbone.normalize(images, torch.tensor([[10, 10]])), images)


def test_a_backbone_normalizes_as_its_weights_were_trained() -> None:
    """timm's `tf_` models were trained with mean and deviation 0.5, unlike the others."""
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    result = Backbone(BackboneConfig("tf_efficientnet_lite0", "none", 0.0)).normalize(images, torch.tensor([[32, 20]]))
    torch.testing.assert_close(result[..., :20], images[..., :20].float() / 127.5 - 1, rtol=1e-5, atol=1e-5)
    assert result[..., 20:].abs().sum() == 0


@pytest.mark.parametrize("name", ["efficientvit_b0", "repvit_m0_9"])
def test_backbones_without_stochastic_depth(name: str) -> None:
    """Their constructors do not know the word."""
    channels = Backbone(BackboneConfig(name, "none", 0.0)).channels
    assert len(channels) == 3
    with pytest.raises(UserError, match=r"has no stochastic depth: set model\.backbone\.drop_path 0"):
        Backbone(BackboneConfig(name, "none", 0.1))


def test_the_finest_level_alone_is_the_first_of_all() -> None:
    fpn = FeaturePyramid([4, 8, 8])
    stages = [torch.randn(2, channels, 16 // 2**i, 24 // 2**i) for i, channels in enumerate([4, 8, 8])]
    sizes = torch.tensor([[128, 192], [100, 150]])
    alone = fpn.finest(stages, sizes, (128, 192))
    assert len(alone.levels) == 1
    torch.testing.assert_close(alone.levels[0], fpn(stages, sizes, (128, 192)).levels[0])
