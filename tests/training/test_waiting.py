"""A training step never waits for the device, and makes no tensor of pairs x anchors x dims.

Seen under a dispatch mode on the CPU: operators whose result, or its shape, the host has to know.
"""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from miniature import ROWS, gpu_align_regions, make_batch, make_network
from spnet.config.schema import ObjectiveConfig
from spnet.models import heads
from spnet.training.objective import SPNetLoss

WAITING = {"_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "equal", "is_nonzero"}
PAIRS, DIMS = 9, 8


class Watch(TorchDispatchMode):
    """Collects such operators, indexing by masks, which is one, and tensors of `limit` elements or more of anchors."""

    def __init__(self, anchors: int, limit: int) -> None:
        TorchDispatchMode.__init__(self)
        self.anchors, self.limit = anchors, limit
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in WAITING or masks:
            self.found[f"{name} by a mask" if masks else name] += 1
        result = compute(func, args, kwargs or {})
        leaves = (result,) if isinstance(result, Tensor) else tree_leaves(result)
        if any(isinstance(leaf, Tensor) and self.is_large(leaf) for leaf in leaves):
            self.found[f"{name} makes a large tensor"] += 1
        return result

    def is_large(self, tensor: Tensor) -> bool:
        if tensor.numel() < self.limit:
            return False
        return any(length > 0 and length % self.anchors == 0 for length in tensor.shape)


def compute(func: Any, args: Any, kwargs: Any) -> Any:
    """Compute an operator; convolutions of 16 bits, which are slow on many CPUs, in 32."""
    if not func.overloadpacket.__name__.startswith("convolution"):
        return func(*args, **kwargs)
    result = func(*tree_map_only(Tensor, Tensor.float, args), **kwargs)
    return tree_map_only(Tensor, lambda tensor: tensor.to(args[0].dtype), result)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("rows", [ROWS, []], ids=["boxes", "no box"])
@pytest.mark.parametrize("lwf", [False, True], ids=["", "lwf"])
@pytest.mark.parametrize("reid_loss", ["contrastive", "oim"])
@pytest.mark.parametrize("pathway", ["object", "query"])
@pytest.mark.parametrize(("shape", "cascade_steps"), [("shared", 0), ("shared", 2), ("separate", 0), ("separate", 2)])
def test_a_step_never_waits(
    pathway: Any,
    shape: str,
    cascade_steps: int,
    reid_loss: str,
    lwf: bool,
    rows: list[Any],
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(heads, "align_regions", gpu_align_regions)
    network, batch = make_network(heads=shape, cascade_steps=cascade_steps, with_classifier=lwf), make_batch(rows)
    config = ObjectiveConfig(
        pathway=pathway,
        samples_per_image=8,
        num_pairs=PAIRS,
        samples_per_pair=4,
        queue_size=500,
        reid_loss=reid_loss,
        reid_iou=0.0,
        lwf=lwf,
    )
    objective = SPNetLoss(config, network, identities=2)
    with torch.no_grad():  # anchors of this size are made
        anchors = network.anchor_table(network.features(batch.images, batch.sizes)).count
    with Watch(anchors, PAIRS * anchors * DIMS) as watch:
        with torch.autocast("cpu", dtype):
            total = torch.stack(list(objective(network, batch).values())).sum()
        total.backward()
    assert not watch.found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("reid_loss", ["contrastive", "oim"])
@pytest.mark.parametrize("pathway", ["object", "query"])
def test_a_gpu_is_never_waited_for(pathway: Any, reid_loss: str) -> None:
    network, batch = make_network(heads="separate", cascade_steps=2).cuda(), make_batch().to("cuda")
    config = ObjectiveConfig(pathway=pathway, reid_loss=reid_loss, queue_size=500, reid_iou=0.0)
    objective = SPNetLoss(config, network, identities=2).cuda()
    objective(network, batch)  # anchors of this size are made
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            total = torch.stack(list(objective(network, batch).values())).sum()
        total.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_watch_sees_what_waits() -> None:
    mask = torch.tensor([True, False, True])
    with Watch(anchors=3, limit=6) as watch:
        torch.arange(3)[mask]
        mask.nonzero()
        int(mask.sum())
        torch.zeros(2, 3)
    assert watch.found == {
        "index by a mask": 1,
        "nonzero": 1,
        "_local_scalar_dense": 1,
        "zeros makes a large tensor": 1,
    }
