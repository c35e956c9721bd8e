"""What the processes of one training run tell each other; in one process every function returns what it was given.

Tensors travel by the group that Lightning made (NCCL between GPUs), what the hosts agree on by a group of its own
(Gloo), so that no device is waited for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

T = TypeVar("T")

# set by torchrun, by Lightning for the processes it starts, and by SLURM
_RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID")

_alone = False  # inside `alone`
_PATIENCE = timedelta(days=1)  # the first process alone evaluates, which takes long; one that died is noticed at once


def world_size() -> int:
    """Processes of this run."""
    return dist.get_world_size() if dist.is_initialized() and not _alone else 1


def rank() -> int:
    """The number of this process, 0 is the first."""
    return dist.get_rank() if dist.is_initialized() else 0


def follows(processes: int) -> bool:
    """Whether this is not the first of a run's processes, as the environment says before there is any group."""
    return processes > 1 and any(os.environ.get(name, "0") != "0" for name in _RANKS)


@contextmanager
def alone() -> Iterator[None]:
    """Let this process work inside the block as if there were no others: the first one evaluates, say."""
    global _alone
    _alone = True
    try:
        yield
    finally:
        _alone = False


def reduce_sum(values: Tensor) -> Tensor:
    """Sum values of one shape over the processes; the gradient is that of the losses of all of them."""
    if world_size() == 1:
        return values
    total: Tensor = _Sum.apply(values)
    return total


class _Sum(torch.autograd.Function):
    """torch has one that takes a gradient too, which it calls deprecated, and no other in public."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(context, gradient)


@torch.no_grad()
def gather(rows: Tensor) -> Tensor:
    """Rows (R, ...) of every process, each with its own R, one after the other in the order of their ranks."""
    if world_size() == 1:
        return rows
    counts = _counts(len(rows))
    padded = pad(rows, (0, 0) * (rows.dim() - 1) + (0, max(counts) - len(rows)))
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded.contiguous())
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def exchange(value: T) -> list[T]:
    """The value of every process, in the order of their ranks: anything small that is on the host."""
    if world_size() == 1:
        return [value]
    values: list[T] = [value] * world_size()
    dist.all_gather_object(values, value, group=_hosts())
    return values


def agree(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if world_size() == 1:
        return flag
    flags = torch.tensor(int(flag))
    dist.all_reduce(flags, dist.ReduceOp.MAX, group=_hosts())
    return bool(flags)


def raise_together(items: Iterator[T], kind: type[Exception]) -> Iterator[T]:
    """Hand out items, as many as in the other processes; an error of that kind in any of them ends all.

    Raises:
        kind: in the first process; SystemExit(2) in those that follow, so that it is reported once.
    """
    while True:
        error, item = None, None
        try:
            item = next(items, None)
        except kind as raised:
            error = raised
        if agree(error is not None):
            errors = [one for one in exchange(error) if one is not None]
            raise errors[0] if rank() == 0 else SystemExit(2)
        if item is None:
            return
        yield item


def _counts(count: int) -> list[int]:
    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([count]), group=_hosts())
    return [int(count) for count in counts]


def _hosts() -> dist.ProcessGroup:
    return _group_beside(dist.group.WORLD)


@cache
def _group_beside(world: dist.ProcessGroup | None) -> dist.ProcessGroup:
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    if isinstance(group, int):
        raise RuntimeError("this process is not part of the run")
    return group
