"""What does a view cost, in plain Pillow decodes of its file? One core, views at 512 pixels.

    python benchmarks/augment.py [--images 10] [--rounds 10]

Prints one JSON line: for each augmentation and size, milliseconds a view (reading, decoding, drawing, resampling and
the boxes), milliseconds of Pillow's decode, and their ratio, with two views a decode (and one, for evaluation). Also
what each decoder takes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import torch
import torchvision
from PIL import Image

from emit import emit
from images import make_scenes
from spnet.config.schema import Augmentation
from spnet.data.dataset import PersonSearchDataset
from spnet.data.schema import Annotations

SIZES = ((640, 480), (1920, 1080))
CASES = {
    "rrc_scale": Augmentation("rrc_scale", num_views=2),
    "rrc2": Augmentation("rrc2", num_views=2),
    "wrs": Augmentation("wrs", num_views=2),
    "wrs, one view": Augmentation("wrs", num_views=1),
}
DECODERS: dict[str, Callable[[bytes], object]] = {
    "simplejpeg": simplejpeg.decode_jpeg,
    "simplejpeg, half size": lambda data: simplejpeg.decode_jpeg(data, min_height=1, min_width=1, min_factor=2),
    "cv2": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB),
    "torchvision": lambda data: torchvision.io.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8)),
}


def milliseconds(task: Callable[[], object]) -> float:
    """How long `task` takes."""
    start = time.perf_counter()
    task()
    return (time.perf_counter() - start) * 1e3


def pillow_decode(path: Path) -> None:
    """The yardstick: Pillow opens and decodes the file, no more."""
    with Image.open(path) as image:
        image.load()


def images_task(scenes: PersonSearchDataset, epoch: int) -> list[Callable[[], object]]:
    """All views of each scene in an epoch."""
    return [partial(scenes.__getitem__, (epoch, index)) for index in range(len(scenes))]


def measure(annotations: Annotations, rounds: int) -> dict[str, float]:
    """Mean milliseconds a image of each augmentation and decoder; they take turns, and the first round warms up."""
    scenes = {name: PersonSearchDataset(annotations, case, seed=0) for name, case in CASES.items()}
    paths = [annotations.image_root / name for name in annotations.file_names]
    files = [path.read_bytes() for path in paths]
    taken: dict[str, list[float]] = {name: [] for name in [*CASES, "pillow", *DECODERS]}
    for epoch in range(rounds + 1):
        tasks = {name: images_task(these, epoch) for name, these in scenes.items()}
        tasks["pillow"] = [partial(pillow_decode, path) for path in paths]
        tasks |= {name: [partial(decode, data) for data in files] for name, decode in DECODERS.items()}
        for name, calls in tasks.items():
            taken[name] += [milliseconds(call) for call in calls][: len(calls) if epoch else 0]
    return {name: float(np.mean(values)) for name, values in taken.items()}


def report(taken: dict[str, float]) -> dict[str, object]:
    """Milliseconds a view and how many Pillow decodes that is; milliseconds of each decoder."""
    views = {name: taken[name] / case.num_views for name, case in CASES.items()}
    return {
        "views": {name: {"ms": round(ms, 2), "ratio": round(ms / taken["pillow"], 2)} for name, ms in views.items()},
        "decoders": {name: round(taken[name], 2) for name in ["pillow", *DECODERS]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    results: dict[str, object] = {}
    for width, height in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            annotations = make_scenes(Path(folder), width, height, options.images)
            size = sum(path.stat().st_size for path in Path(folder).iterdir()) / options.images
            bits = round(size * 8 / (width * height), 1)
            results[f"{width}x{height}"] = {"bits_per_pixel": bits, **report(measure(annotations, options.rounds))}
    emit("augment", {"rounds": options.rounds, **results})


if __name__ == "__main__":
    main()
