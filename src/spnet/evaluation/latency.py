"""Measure how long a network takes for a scene: from pixels in memory to detections with embeddings."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from spnet.data.augment import whole_scene
from spnet.data.dataloader import evaluation_loader
from spnet.data.dataset import PersonSearchDataset
from spnet.data.schema import Annotations
from spnet.errors import UserError
from spnet.evaluation.extract import ExtractionConfig
from spnet.files import write_json
from spnet.models.inference import detect_all
from spnet.models.spnet import SPNet
from spnet.runs.record import hardware

LATENCY = "latency.json"
WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Median time of a scene, one at a time, object-centric, and what it was measured on."""

    milliseconds: float
    scenes: int  # how many were timed
    min_size: int  # shortest side of scenes, pixels
    max_size: int  # largest longest side of scenes, pixels
    threads: int  # of the CPU
    hardware: str


@torch.no_grad()
def measure_latency(network: SPNet, annotations: Annotations, how: ExtractionConfig, scenes: int = 30) -> Latency:
    """Time the object-centric search of the first scenes of a split, each alone, after some to warm up.

    Raises UserError for an image that is missing or broken.
    """
    data = PersonSearchDataset(annotations, whole_scene(how.inference), seed=0, unique_id_per_box=True)
    network.to(how.device).eval()
    seconds = []
    for batch, _ in zip(evaluation_loader(data, 1, how.num_workers), range(WARM_UP + scenes), strict=False):
        moved = batch.to(how.device)
        _synchronize()
        started = time.perf_counter()
        detect_all(network, network.features(moved.images, moved.sizes))
        _synchronize()
        seconds.append(time.perf_counter() - started)
    timed = seconds[WARM_UP:] or seconds
    sides = (how.inference.min_size, how.inference.max_size)
    return Latency(1000 * float(np.median(timed)), len(timed), *sides, torch.get_num_threads(), hardware())


def write_latency(file: Path, latency: Latency) -> None:
    """Write it as JSON. Raises UserError where that cannot be."""
    write_json(file, asdict(latency))


def read_latency(file: Path) -> Latency:
    """Read what `write_latency` wrote. Raises UserError for a file that is none."""
    try:
        return Latency(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: no measured speed ({type(error).__name__})") from None


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
