"""Is pooling regions by matrix products worth its code? Against torchvision's RoIAlign, backward pass included.

Prints one JSON line: for SPNet-tiny and SPNet-S, milliseconds of both (the best of several, in turn) and their ratio.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import roi_align

from emit import emit
from spnet.models.roi_align import align_regions

SCENES, SIZE = 8, 14
CASES = {"spnet-tiny": (160, 64, 20, 9), "spnet-s": (544, 384, 64, 2)}  # boxes, channels, cells a side, rounds


def main() -> None:
    """As many regions of as large a map as a training step of a preset has, on one thread."""
    torch.set_num_threads(1)
    emit("roi_align", {name: measure(*case) for name, case in CASES.items()})


def measure(boxes_in_all: int, channels: int, cells: int, rounds: int) -> dict[str, float]:
    """Time both ways, forward and backward."""
    torch.manual_seed(0)
    features = torch.randn(SCENES, channels, cells, cells, requires_grad=True)
    corners = torch.rand(boxes_in_all, 2) * 4 * cells
    boxes = torch.cat([corners, corners + 10 + torch.rand(boxes_in_all, 2) * 3.5 * cells], 1)
    scene = torch.randint(0, SCENES, (boxes_in_all,))
    rows = torch.cat([scene[:, None].float(), boxes], 1)
    ways: dict[str, Callable[[], Tensor]] = {
        "torchvision": lambda: roi_align(features, rows, SIZE, 1 / 8, 2, False),
        "products": lambda: align_regions(features, boxes, scene, 1 / 8, SIZE),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way().sum().backward()
            best[name] = min(best[name], time.perf_counter() - start)
    milliseconds = {f"{name}_ms": round(1000 * seconds, 2) for name, seconds in best.items()}
    return milliseconds | {"ratio": round(best["products"] / best["torchvision"], 3)}


if __name__ == "__main__":
    main()
