"""Anchors against torchvision's generator; regions: whose statistics, which gradients, which precision."""

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align

from miniature import make_batch, make_network
from spnet.models.fpn import FeatureMaps
from spnet.models.heads import AnchorHead, RegionPooling, ReidHead, padded_count
from spnet.models.spnet import SPNet


@pytest.fixture
def network() -> SPNet:
    return make_network()


@pytest.fixture
def features(network: SPNet) -> FeatureMaps:
    batch = make_batch()
    with torch.no_grad():
        return network.features(batch.images, batch.sizes)


def make_pyramid(height: int, width: int, channels: int = 4) -> FeatureMaps:
    shapes = [(height // 8, width // 8), (height // 16, width // 16), (height // 32, width // 32)]
    for _ in range(2):
        shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    levels = [torch.randn(2, channels, *shape) for shape in shapes]
    return FeatureMaps(levels, torch.tensor([[height, width]] * 2), (height, width))


@pytest.mark.parametrize(("height", "width"), [(64, 96), (224, 160), (128, 128)])
def test_anchors_are_torchvisions(height: int, width: int) -> None:
    sizes = tuple((base, int(base * 2 ** (1 / 3)), int(base * 2 ** (2 / 3))) for base in (32, 64, 128, 256, 512))
    features = make_pyramid(height, width)
    images = ImageList(torch.zeros(1, 3, height, width), [(height, width)])
    (expected,) = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5)(images, features.levels)
    table = AnchorHead(4, 6)(features)
    assert table.count == len(expected)
    torch.testing.assert_close(table.boxes, expected)


def test_anchors_are_made_once_for_each_size() -> None:
    """Also while evaluating: a tensor made in inference mode could not be used in training afterwards."""
    head = AnchorHead(4, 6)
    with torch.inference_mode():
        first = head(make_pyramid(64, 96)).boxes
    assert head(make_pyramid(64, 96)).boxes is first
    assert not first.is_inference()
    other = head(make_pyramid(96, 64)).boxes
    assert not torch.equal(other, first)
    torch.testing.assert_close(head(make_pyramid(64, 96)).boxes, first)


def test_anchor_embeddings_stand_in_the_order_of_their_boxes() -> None:
    """A convolution that copies its input, and adds 1,000 for each shape: features and boxes tell the same place."""
    embedder = AnchorHead(2, 2)
    weight, bias = embedder.embed.weight, embedder.embed.get_parameter("bias")
    torch.nn.init.zeros_(weight)
    with torch.no_grad():
        for number in range(9):
            bias[2 * number : 2 * number + 2] = number * 1000
            for axis in range(2):
                weight[2 * number + axis, axis, 1, 1] = 1
    features = make_pyramid(64, 96, 2)
    for level in features.levels:
        rows, columns = torch.meshgrid(torch.arange(level.shape[2]), torch.arange(level.shape[3]), indexing="ij")
        level.copy_(torch.stack([columns * 96 // level.shape[3], rows * 64 // level.shape[2]]))
    table = embedder(features)
    centres = (table.boxes[:, :2] + table.boxes[:, 2:]) / 2
    shape = torch.arange(table.count) % 9
    torch.testing.assert_close(table.embeddings[1] - shape[:, None] * 1000, centres)
    assert len(table.boxes[:9].unique(dim=0)) == 9


def test_initial_weights_are_the_papers() -> None:
    embedder = AnchorHead(64, 32)
    assert embedder.embed.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert embedder.embed.get_parameter("bias").unique().item() == pytest.approx(-4.59512)


def test_a_box_is_embedded_alike_whatever_its_company(network: SPNet, features: FeatureMaps) -> None:
    boxes = torch.tensor([[5.0, 6, 30, 60], [40, 4, 70, 62], [0, 0, 96, 64]])
    scene = torch.tensor([2, 0, 2])
    network.eval()
    together = network.embed(features, boxes, scene)
    alone = [network.embed(features, boxes[i : i + 1], scene[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)
    elsewhere = network.embed(features, boxes, torch.tensor([1, 1, 1]))
    assert ((together - elsewhere).norm(dim=1) / together.norm(dim=1)).min() > 1e-3


def test_training_uses_the_rows_statistics_and_one_row_the_running_ones(network: SPNet, features: FeatureMaps) -> None:
    boxes = torch.tensor([[5.0, 6, 30, 60], [40, 4, 70, 62], [0, 0, 96, 64]])
    scene = torch.tensor([2, 0, 2])
    batch = network.embed(features, boxes, scene)
    torch.testing.assert_close(batch.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    running = {name: value.clone() for name, value in network.named_buffers()}
    one = network.embed(features, boxes[:1], scene[:1])
    assert all(torch.equal(value, running[name]) for name, value in network.named_buffers())
    torch.testing.assert_close(one, network.eval().embed(features, boxes[:1], scene[:1]))


def test_no_boxes_have_no_embeddings_and_go_backward(network: SPNet, features: FeatureMaps) -> None:
    empty = network.embed(features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert empty.shape == (0, 8)
    empty.sum().backward()
    gradients = [parameter.grad for parameter in network.reid.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)  # every parameter takes part
    separate = make_network(heads="separate", reid_dim=12)
    assert separate.location_embed(1, features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 8)
    assert separate.embed(features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 12)


def test_boxes_carry_no_gradient_into_the_head(network: SPNet, features: FeatureMaps) -> None:
    boxes = torch.tensor([[5.0, 6, 30, 60], [40, 4, 70, 62]], requires_grad=True)
    network.embed(features, boxes, torch.tensor([0, 1])).square().sum().backward()
    assert boxes.grad is None
    assert all(parameter.grad is not None for parameter in network.reid.parameters())


def test_halves_are_the_pooled_input_and_output(network: SPNet, features: FeatureMaps) -> None:
    boxes, scene = torch.tensor([[5.0, 6, 30, 60], [40, 4, 70, 62]]), torch.tensor([0, 1])
    network.eval()
    rows = torch.cat([scene[:, None].float(), boxes], 1)
    regions = roi_align(features.levels[0], rows, 14, 1 / 8, 2, False)
    head = network.reid
    assert isinstance(head, ReidHead)
    pooled = regions.flatten(2).max(2).values
    expected = (
        head.project_input(pooled),
        head.project_output(head.pooling.last_stage(regions).flatten(2).max(2).values),
    )
    torch.testing.assert_close(network.embed(features, boxes, scene), torch.cat(expected, 1))


def test_half_precision_features_are_pooled_at_the_exact_box(network: SPNet) -> None:
    """In bfloat16 a coordinate of 1,001 pixels would become 1,000."""
    features = make_pyramid(64, 1024, network.fpn.width)
    halves = FeatureMaps([level.bfloat16() for level in features.levels], features.sizes, features.padded_size)
    rounded = FeatureMaps([level.bfloat16().float() for level in features.levels], features.sizes, features.padded_size)
    boxes, scene = torch.tensor([[961.0, 3, 1001, 61], [997, 1, 1009, 63]]), torch.tensor([0, 1])
    network.eval()

    def pooled(features: FeatureMaps) -> Tensor:
        values: Tensor = network.reid.pooling(features, boxes, scene)[0]
        return values.float()

    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(pooled(halves), pooled(rounded), rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, 64), (1, 64), (64, 64), (65, 128), (256, 256), (257, 320), (512, 512), (513, 640), (1025, 1280), (2048, 2048)],
)
def test_a_gpu_meets_few_numbers_of_regions(count: int, expected: int) -> None:
    assert padded_count(count) == expected


def test_padding_is_little_and_of_few_sizes() -> None:
    sizes = {padded_count(count) for count in range(2049)}
    assert len(sizes) <= 20
    assert all(padded_count(count) <= 1.25 * count for count in range(257, 2049))


def test_padded_regions_change_neither_embeddings_nor_gradients(
    network: SPNet, features: FeatureMaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: the empty boxes are gone before the rows are normalized."""
    boxes, scene = make_batch().targets.boxes, make_batch().targets.scene
    seen: list[tuple[Tensor, list[Tensor]]] = []
    embedded = []
    network.reid.pooling.last_stage.register_forward_hook(lambda module, inputs, output: embedded.append(len(output)))
    for minimum in (1, 64):
        monkeypatch.setattr(
            RegionPooling, "region_count", lambda pooling, boxes, minimum=minimum: max(minimum, len(boxes))
        )
        network.train().zero_grad()
        embeddings = network.embed(features, boxes, scene)
        embeddings.square().sum().backward()
        seen.append((embeddings, [p.grad.clone() for p in network.reid.parameters() if p.grad is not None]))
    assert embedded == [5, 64]
    torch.testing.assert_close(seen[0], seen[1], rtol=1e-5, atol=1e-6)
