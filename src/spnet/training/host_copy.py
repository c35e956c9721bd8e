"""Reads numbers from the device while it works on."""

from collections.abc import Callable

import torch
from torch import Tensor


def copy_to_host(values: Tensor) -> Callable[[], list[int]]:
    """Order a copy of int64 values (N,), to be read by calling what is returned.

    Reading a tensor waits for everything the device has to do. This copy is read later, when the device has been given
    more to do: the host waits, if at all, only for what comes before the copy.
    """
    copy = values.to("cpu", non_blocking=True)  # from a GPU into page-locked memory
    done = torch.cuda.Event() if values.is_cuda else None
    if done is not None:
        done.record()

    def read() -> list[int]:
        if done is not None:
            done.synchronize()
        numbers: list[int] = copy.tolist()
        return numbers

    return read
