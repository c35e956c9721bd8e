"""Is pooling regions by matrix products worth its code? Against torchvision's RoIAlign, backward pass included.

Prints one JSON line: milliseconds of both (the best of several, in turn), and their ratio.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import roi_align

from emit import emit
from spnet.models.roi_align import align_regions

BOXES, SCENES, CHANNELS, CELLS, SIZE = 160, 8, 64, 20, 14
ROUNDS = 9


def main() -> None:
    """As many regions of as large a map as a training step of SPNet-tiny has, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    features = torch.randn(SCENES, CHANNELS, CELLS, CELLS, requires_grad=True)
    corners = torch.rand(BOXES, 2) * 80
    boxes = torch.cat([corners, corners + 10 + torch.rand(BOXES, 2) * 70], 1)
    scene = torch.randint(0, SCENES, (BOXES,))
    rows = torch.cat([scene[:, None].float(), boxes], 1)
    ways: dict[str, Callable[[], Tensor]] = {
        "torchvision": lambda: roi_align(features, rows, SIZE, 1 / 8, 2, False),
        "products": lambda: align_regions(features, boxes, scene, 1 / 8, SIZE),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way().sum().backward()
            best[name] = min(best[name], time.perf_counter() - start)
    milliseconds = {f"{name}_ms": round(1000 * seconds, 2) for name, seconds in best.items()}
    emit("roi_align", milliseconds | {"ratio": round(best["products"] / best["torchvision"], 3)})


if __name__ == "__main__":
    main()
