"""What a CPU needs to train at its own speed; a GPU does not notice."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of the C library's options
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # what glibc accepts
NEVER = 2**31 - 1


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Meanwhile numbers below 1e-38 count as zero; and memory once taken from the system is kept for the next step.

    The gradients of anchors far from everyone are that small, and a CPU takes many times longer for such numbers. And
    tensors of a few megabytes would otherwise be fetched from the system, page by page, in every operation.
    """
    _keep_freed_memory()
    before = _counts_as_zero()
    torch.set_flush_denormal(True)  # threads started from here on inherit it
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _counts_as_zero() -> bool:
    """Whether that is so already; PyTorch can be told, but not asked."""
    smallest = torch.tensor(torch.finfo(torch.float32).tiny)
    return (smallest / 2).item() == 0


def _keep_freed_memory() -> None:
    """Only glibc can be asked."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_option is not None:
        set_option(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        set_option(TRIM_THRESHOLD, NEVER)
