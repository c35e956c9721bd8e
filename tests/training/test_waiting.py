"""How often a training step waits for the device: operators whose result, or its shape, the host has to know."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from miniature import make_batch, make_network
from spnet.config.schema import ObjectiveConfig
from spnet.models import heads
from spnet.models.roi_align import SAMPLES
from spnet.training.objective import SPNetLoss

WAITING = {"_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "equal", "is_nonzero"}
OBJECT = ObjectiveConfig(pathway="object", samples_per_image=24, queue_size=500)
QUERY = ObjectiveConfig(pathway="query", num_pairs=9, samples_per_pair=16, queue_size=500)


class Waits(TorchDispatchMode):
    """Collects such operators, and indexing by masks, which is one."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in WAITING or masks:
            self.found[f"{name} by a mask" if masks else name] += 1
        return func(*args, **(kwargs or {}))


def kernel(features: Tensor, boxes: Tensor, scene: Tensor, scale: float, size: int) -> Tensor:
    """RoIAlign as on a GPU; the products that stand for it on a CPU ask how many boxes a scene has."""
    rows = torch.cat([scene[:, None].float(), boxes.detach()], 1)
    aligned: Tensor = torch.ops.torchvision.roi_align(features, rows, scale, size, size, SAMPLES, False)
    return aligned


# the boxes that train re-id decide shapes; OIM learns in as many rounds as an identity has samples
@pytest.mark.parametrize(
    ("reid_loss", "expected"),
    [("contrastive", {"nonzero": 1}), ("oim", {"nonzero": 2, "_unique2": 1, "_local_scalar_dense": 1})],
)
@pytest.mark.parametrize("config", [OBJECT, QUERY], ids=["object", "query"])
@pytest.mark.parametrize(("shape", "cascade_steps"), [("shared", 0), ("separate", 2)])
def test_where_a_step_waits(
    config: ObjectiveConfig,
    shape: str,
    cascade_steps: int,
    reid_loss: str,
    expected: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heads, "align_regions", kernel)
    network, batch = make_network(heads=shape, cascade_steps=cascade_steps), make_batch()
    options = {name: getattr(config, name) for name in ("pathway", "samples_per_image", "num_pairs", "queue_size")}
    objective = SPNetLoss(ObjectiveConfig(reid_loss=reid_loss, reid_iou=0.0, **options), network, identities=2)
    objective(network, batch)  # anchors of this size are made
    with Waits() as waits:
        torch.stack(list(objective(network, batch).values())).sum().backward()
    assert waits.found == expected
