"""Boxes, against torchvision's coder, overlaps and clipping."""

import pytest
import torch
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou, clip_boxes_to_image, generalized_box_iou

from miniature import random_boxes
from spnet.models.boxes import MAX_LOG_SCALE, BoxHead, clip, decode, overlaps


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_decode_is_torchvisions_coder(generator: torch.Generator) -> None:
    anchors = random_boxes(50, 200, 100, generator)
    deltas = torch.randn(50, 4, generator=generator)
    deltas[:5, 2:] = 9  # beyond the bound on growth
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0), bbox_xform_clip=MAX_LOG_SCALE)
    torch.testing.assert_close(decode(deltas, anchors), coder.decode_single(deltas, anchors), rtol=1e-5, atol=1e-3)


def test_decode_undoes_torchvisions_encoding(generator: torch.Generator) -> None:
    anchors, boxes = random_boxes(20, 200, 100, generator), random_boxes(20, 200, 100, generator)
    deltas = BoxCoder((1.0, 1.0, 1.0, 1.0)).encode_single(boxes, anchors)
    torch.testing.assert_close(decode(deltas, anchors), boxes, rtol=1e-4, atol=1e-3)


def test_each_box_is_clipped_at_its_own_image(generator: torch.Generator) -> None:
    boxes = torch.randn(30, 4, generator=generator) * 100
    sizes = torch.randint(20, 120, (30, 2), generator=generator)
    expected = [clip_boxes_to_image(box[None], tuple(size.tolist()))[0] for box, size in zip(boxes, sizes, strict=True)]
    torch.testing.assert_close(clip(boxes, sizes), torch.stack(expected))
    assert clip(boxes[:0], sizes[:0]).shape == (0, 4)


def test_overlaps_are_torchvisions(generator: torch.Generator) -> None:
    first, second = random_boxes(30, 100, 60, generator), random_boxes(40, 100, 60, generator)
    torch.testing.assert_close(overlaps(first[:, None], second), box_iou(first, second))
    torch.testing.assert_close(overlaps(first[:, None], second, generalized=True), generalized_box_iou(first, second))
    torch.testing.assert_close(overlaps(first, second[:30]), box_iou(first, second[:30]).diagonal())


def test_boxes_without_area_overlap_nothing_and_give_numbers() -> None:
    empty, box = torch.tensor([[5.0, 5, 5, 5]]), torch.tensor([[0.0, 0, 10, 10]])
    assert overlaps(empty, box).item() == 0
    assert overlaps(empty, empty).item() == 0
    assert torch.isfinite(overlaps(empty, empty, generalized=True)).all()


def test_head_has_four_hidden_layers_and_answers_in_float32() -> None:
    head = BoxHead(8)
    assert sum(isinstance(module, torch.nn.ReLU) for module in head.modules()) == 4
    with torch.autocast("cpu", torch.bfloat16):
        assert head(torch.randn(3, 8)).dtype == torch.float32
    assert head(torch.zeros(0, 8)).shape == (0, 4)
