"""Initial weights: torchvision's give the same features under timm's names, and what does not fit is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import ConvNeXt, ConvNeXt_Tiny_Weights, ResNet, SwinTransformer
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import Bottleneck

from spnet.config.schema import BackboneConfig
from spnet.errors import UserError
from spnet.models.backbone import Backbone
from spnet.models.pretrained import torchvision_to_timm


def convnext() -> ConvNeXt:
    return ConvNeXt(
        [CNBlockConfig(8, 12, 1), CNBlockConfig(12, 16, 2), CNBlockConfig(16, 24, 1), CNBlockConfig(24, None, 2)]
    )


def swin() -> SwinTransformer:
    return SwinTransformer([4, 4], 12, [2, 2, 2, 2], [1, 2, 3, 4], [7, 7], stochastic_depth_prob=0.0)


def resnet() -> ResNet:
    return ResNet(Bottleneck, [1, 2, 1, 1])


CONVNEXT_OPTIONS = {"depths": (1, 2, 1, 2), "dims": (8, 12, 16, 24)}
PAIRS: dict[str, tuple[Callable[[], nn.Module], BackboneConfig]] = {
    "convnext": (convnext, BackboneConfig("convnext_tiny", "none", 0.0, CONVNEXT_OPTIONS)),
    "swin": (
        swin,
        BackboneConfig(
            "swin_tiny_patch4_window7_224",
            "none",
            0.0,
            {"depths": (2, 2, 2, 2), "embed_dim": 12, "num_heads": (1, 2, 3, 4)},
        ),
    ),
    "resnet": (resnet, BackboneConfig("resnet50", "none", 0.0, {"layers": (1, 2, 1, 1)})),
}


def randomise(network: nn.Module) -> nn.Module:
    """Every parameter counts: layer scales are not 1e-6, norms not the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                noise = torch.rand(value.shape, generator=generator)
                value.copy_(0.5 + noise if value.dim() == 1 or "layer_scale" in name else value + 0.02 * (noise - 0.5))
    return network.eval()


def torchvision_features(network: nn.Module, images: Tensor) -> Tensor:
    """C5 (B, C, h, w)."""
    whole = list(network.children())[:-2] if isinstance(network, ResNet) else [network.get_submodule("features")]
    features: Tensor = nn.Sequential(*whole)(images)
    return features.permute(0, 3, 1, 2) if isinstance(network, SwinTransformer) else features


@pytest.mark.parametrize("name", PAIRS)
@torch.no_grad()
def test_torchvisions_weights_give_torchvisions_features_and_classes(name: str) -> None:
    make, config = PAIRS[name]
    theirs = randomise(make())
    ours = Backbone(config, with_classifier=True).eval()
    ours.net.load_state_dict(torchvision_to_timm(theirs.state_dict()))
    images = torch.randn(1, 3, 256, 320)
    stages, classes = ours.forward_with_classes(images)
    expected = torchvision_features(theirs, images)
    assert expected.std() > 0.1
    torch.testing.assert_close(stages[-1], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(classes, theirs(images), rtol=1e-4, atol=1e-4)


def write(state: dict[str, Any], file: Path) -> Path:
    if file.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, file)
    else:
        torch.save(state, file)
    return file


def with_weights(config: BackboneConfig, weights: Path | str, name: str = "") -> BackboneConfig:
    return BackboneConfig(name or config.name, str(weights), config.drop_path, config.model_kwargs)


@pytest.mark.parametrize("file", ["backbone.safetensors", "backbone.pth"])
@pytest.mark.parametrize("with_classifier", [False, True])
@pytest.mark.parametrize("name", PAIRS)
def test_local_files_of_torchvision(tmp_path: Path, name: str, with_classifier: bool, file: str) -> None:
    make, config = PAIRS[name]
    state = randomise(make()).state_dict()
    backbone = Backbone(with_weights(config, write(state, tmp_path / file)), with_classifier)
    expected = torchvision_to_timm(state)
    own = backbone.net.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in own.items())
    assert set(expected) >= set(own)
    assert len(own) > 20


@pytest.mark.parametrize("with_classifier", [False, True])
def test_local_files_of_timm_and_checkpoints_around_a_state(tmp_path: Path, with_classifier: bool) -> None:
    _, config = PAIRS["convnext"]
    source = Backbone(config, with_classifier=True)
    file = write({"state_dict": source.net.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pth")
    backbone = Backbone(with_weights(config, file), with_classifier)
    assert all(torch.equal(value, source.net.state_dict()[key]) for key, value in backbone.net.state_dict().items())


def test_old_files_do_not_count_batches(tmp_path: Path) -> None:
    make, config = PAIRS["resnet"]
    state = {key: value for key, value in make().state_dict().items() if not key.endswith("num_batches_tracked")}
    backbone = Backbone(with_weights(config, write(state, tmp_path / "old.pth")))
    assert torch.equal(backbone.net.conv1.weight, state["conv1.weight"])


def without_a_block(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if not key.startswith("features.7.1.")}


def with_another_block(state: dict[str, Any]) -> dict[str, Any]:
    return state | {key.replace("5.0", "5.9"): value for key, value in state.items() if key.startswith("features.5.0.")}


def with_another_shape(state: dict[str, Any]) -> dict[str, Any]:
    return state | {"features.0.0.weight": torch.zeros(9, 3, 4, 4)}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_a_block, r"9 keys missing, e\.g\. .*stages\.3\.blocks\.1"),
        (with_another_block, r"9 keys unknown, e\.g\. .*stages\.2\.blocks\.9"),
        (with_another_shape, r"1 keys of another shape, e\.g\. \['stem\.0\.weight'\]"),
        (lambda state: {}, "keys missing"),
    ],
)
def test_a_file_that_does_not_fit_is_the_users_mistake(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    _, config = PAIRS["convnext"]
    file = write(spoil(convnext().state_dict()), tmp_path / "backbone.pth")
    with pytest.raises(UserError, match=message) as caught:
        Backbone(with_weights(config, file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["backbone.safetensors", "backbone.pth"])
def test_files_that_are_no_weights_are_the_users_mistake(tmp_path: Path, name: str) -> None:
    _, config = PAIRS["convnext"]
    with pytest.raises(UserError, match="no such file"):
        Backbone(with_weights(config, tmp_path / name))
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(UserError, match="not a readable weights file"):
        Backbone(with_weights(config, tmp_path / name))


def test_a_pickle_of_something_else_is_the_users_mistake(tmp_path: Path) -> None:
    _, config = PAIRS["convnext"]
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="no table of named tensors"):
        Backbone(with_weights(config, tmp_path / "list.pth"))
    torch.save(convnext(), tmp_path / "module.pth")  # would run code when unpickled
    with pytest.raises(UserError, match="not a readable weights file"):
        Backbone(with_weights(config, tmp_path / "module.pth"))


def test_imagenet_is_torchvisions_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    _, config = PAIRS["convnext"]
    state = randomise(convnext()).state_dict()
    asked = []

    def get_state_dict(self: ConvNeXt_Tiny_Weights, *arguments: Any, **options: Any) -> dict[str, Any]:
        asked.append(self)
        return dict(state)

    monkeypatch.setattr(ConvNeXt_Tiny_Weights, "get_state_dict", get_state_dict)
    backbone = Backbone(with_weights(config, "imagenet"))
    assert asked == [ConvNeXt_Tiny_Weights.IMAGENET1K_V1]
    assert torch.equal(backbone.net.stem[0].weight, state["features.0.0.weight"])


@pytest.mark.parametrize(
    "error", [URLError("no route"), RuntimeError("invalid hash value"), TimeoutError("slow\nvery")]
)
def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(ConvNeXt_Tiny_Weights, "get_state_dict", fail)
    with pytest.raises(UserError, match=r"imagenet.*convnext_tiny.*https://.*local file") as caught:
        Backbone(BackboneConfig("convnext_tiny", "imagenet"))
    assert "\n" not in str(caught.value)


def test_imagenet_exists_for_some_backbones_only() -> None:
    with pytest.raises(UserError, match=r"'imagenet' do not exist for 'resnet18'.*resnet50"):
        Backbone(BackboneConfig("resnet18", "imagenet"))


@pytest.mark.parametrize(("weights", "asked"), [("timm", "convnext_tiny"), ("timm:fb_in22k", "convnext_tiny.fb_in22k")])
def test_timms_weights_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch, weights: str, asked: str) -> None:
    _, config = PAIRS["convnext"]
    made = []
    create = timm.create_model

    def fake(name: str, pretrained: bool, **options: Any) -> nn.Module:
        made.append((name, pretrained))
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", fake)
    Backbone(with_weights(config, weights))
    Backbone(with_weights(config, "none"))
    assert made == [(asked, True), ("convnext_tiny", False)]


def test_a_tag_that_timm_does_not_have_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"'timm:nonsense'.*Invalid pretrained tag"):
        Backbone(BackboneConfig("convnext_tiny", "timm:nonsense"))


def test_no_network_for_timm_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise FileNotFoundError("cannot find the file\nRetrying")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(UserError, match=r"'timm'.*cannot find the file") as caught:
        Backbone(BackboneConfig("convnext_tiny", "timm"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PAIRS)
def test_names_of_timm_stay_as_they_are(name: str) -> None:
    make, _ = PAIRS[name]
    state = torchvision_to_timm(make().state_dict())
    assert list(torchvision_to_timm(state)) == list(state)
