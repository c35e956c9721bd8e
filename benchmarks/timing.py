"""How long work takes on a device."""

import statistics
import time
from collections.abc import Callable

import torch


def median_seconds(work: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Median of the rounds; a GPU is waited for before and after each."""
    return statistics.median(_seconds(work, device) for _ in range(rounds))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
