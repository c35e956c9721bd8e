"""How long a network takes for a scene: from pixels in memory to detections with embeddings."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from spnet.data.augment import Augmentation
from spnet.data.batches import evaluation_loader
from spnet.data.scenes import Scenes
from spnet.data.schema import Annotations
from spnet.errors import UserError
from spnet.evaluation.files import written_whole
from spnet.model.inference import find_everyone
from spnet.model.network import SPNet
from spnet.search.collect import Passing
from spnet.training.record import hardware

WARM_UP = 3


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Args:
        milliseconds: median over the scenes, one scene at a time, object-centric.
        scenes: how many.
        window: shortest side, largest longest side of scenes in pixels.
        threads: of the CPU.
        hardware: what it was measured on.
    """

    milliseconds: float
    scenes: int
    window: tuple[int, int]
    threads: int
    hardware: str


@torch.no_grad()
def measure_speed(network: SPNet, annotations: Annotations, how: Passing, scenes: int = 30) -> Speed:
    """Time the object-centric search of the first scenes of a split, each alone, after some to warm up.

    Raises:
        UserError: a picture that is missing or broken.
    """
    data = Scenes(annotations, Augmentation("wrs", window=how.window), seed=0, each_box_a_person=True)
    network.to(how.device).eval()
    seconds = []
    for batch, _ in zip(evaluation_loader(data, 1, how.workers), range(WARM_UP + scenes), strict=False):
        moved = batch.to(how.device)
        _synchronise()
        started = time.perf_counter()
        find_everyone(network, network.features(moved.images, moved.sizes))
        _synchronise()
        seconds.append(time.perf_counter() - started)
    timed = seconds[WARM_UP:] or seconds
    return Speed(1000 * float(np.median(timed)), len(timed), how.window, torch.get_num_threads(), hardware())


def write_speed(file: Path, speed: Speed) -> None:
    """Write it as JSON. Raises UserError where that cannot be."""
    with written_whole(file) as stream:
        stream.write((json.dumps(asdict(speed), indent=1) + "\n").encode())


def read_speed(file: Path) -> Speed:
    """Read what `write_speed` wrote. Raises UserError for a file that is none."""
    try:
        content = json.loads(file.read_text())
        return Speed(**content | {"window": tuple(content["window"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: no measured speed ({type(error).__name__})") from None


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
