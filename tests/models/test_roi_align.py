"""RoIAlign by matrix products equals torchvision's, in values and gradients."""

import torch
from torchvision.ops import roi_align

from spnet.models.roi_align import align_regions

SIZE, SCALE = 14, 1 / 8


def make_case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(3, 5, 9, 13, generator=generator)
    corners = torch.rand(40, 4, generator=generator) * torch.tensor([120.0, 90.0, 120.0, 90.0]) - 20
    boxes = torch.cat([torch.minimum(corners[:, :2], corners[:, 2:]), torch.maximum(corners[:, :2], corners[:, 2:])], 1)
    # a point, the whole map, all outside
    odd = torch.tensor([[8.0, 8.0, 8.0, 8.0], [0.0, 0.0, 104.0, 72.0], [300.0, 300.0, 320.0, 320.0]])
    boxes = torch.cat([boxes, odd])
    return features, boxes, torch.randint(0, 3, (len(boxes),), generator=generator)


def test_products_equal_torchvision() -> None:
    features, boxes, scene = make_case()
    rows = torch.cat([scene[:, None].float(), boxes], 1)
    theirs_input, ours_input = features.clone().requires_grad_(), features.clone().requires_grad_()
    theirs = roi_align(theirs_input, rows, SIZE, spatial_scale=SCALE, sampling_ratio=2, aligned=False)
    ours = align_regions(ours_input, boxes, scene, SCALE, SIZE)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    weights = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(1))
    (theirs * weights).sum().backward()
    (ours * weights).sum().backward()
    torch.testing.assert_close(ours_input.grad, theirs_input.grad, atol=1e-4, rtol=1e-4)


def test_without_gradient_the_kernel_is_used() -> None:
    features, boxes, scene = make_case(1)
    with torch.no_grad():
        kernel = align_regions(features.requires_grad_(), boxes, scene, SCALE, SIZE)
    torch.testing.assert_close(align_regions(features, boxes, scene, SCALE, SIZE), kernel, atol=1e-5, rtol=1e-5)


def test_no_boxes() -> None:
    features = torch.randn(2, 4, 6, 6, requires_grad=True)
    assert align_regions(features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), SCALE, SIZE).shape == (
        0,
        4,
        14,
        14,
    )


def test_boxes_get_no_gradient() -> None:
    features, boxes, scene = make_case(2)
    boxes.requires_grad_()
    align_regions(features.requires_grad_(), boxes, scene, SCALE, SIZE).sum().backward()
    assert boxes.grad is None
