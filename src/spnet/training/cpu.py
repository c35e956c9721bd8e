"""Settings of the CPU and its memory that training needs for full speed; a GPU does not notice them."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc accepts no more
NEVER = 2**31 - 1


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Flush denormal numbers (below 1e-38) to zero inside the block, since a CPU takes many times longer for them.

    The gradients of anchors far from every person are denormal. Threads started inside inherit the setting; on exit
    the calling thread has the setting it had before.
    """
    smallest = torch.tensor(torch.finfo(torch.float32).tiny)
    before = (smallest / 2).item() == 0  # PyTorch can set it but has no query for it
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def keep_freed_memory() -> None:
    """Let malloc keep freed memory for the rest of the process (`mallopt`), so that each step reuses it.

    By default glibc maps blocks of some megabytes from the system and returns them when they are freed, page by page,
    in every operation. Other C libraries have no such option: there nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(TRIM_THRESHOLD, NEVER)
