"""Reads numbers from the device while it works on."""

import torch
from torch import Tensor


class HostCopy:
    """A copy of a small tensor on its way to the host.

    Reading a tensor waits for everything the device has to do. This copy is ordered at once and read later, when the
    device has been given more to do: the host waits, if at all, only for what comes before the copy.

    Args:
        values: (N,) int64 on any device.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values.to("cpu", non_blocking=True)  # from a GPU into page-locked memory
        self._done = torch.cuda.Event() if values.is_cuda else None
        if self._done is not None:
            self._done.record()

    def read(self) -> list[int]:
        """The numbers, once they are there."""
        if self._done is not None:
            self._done.synchronize()
        numbers: list[int] = self._values.tolist()
        return numbers
