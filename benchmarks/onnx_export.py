"""Does an exported network compute what PyTorch does, and how fast? On images of many sizes, one at a time.

    python benchmarks/onnx_export.py --weights RUN --real FOLDER

Exports the network to ONNX along the object-centric pathway and runs both on the same images, fitted into its window:
rendered streets cut to sizes of their own, noise of any size, and up to half of them, evenly spaced, of the given
folders. Prints one JSON line: largest differences over all images, images a second of both on one thread, and their
ratio (ONNX Runtime's over PyTorch's).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from emit import emit
from spnet.data.sources import find_files
from spnet.export.check import Differences, compare
from spnet.export.export import export_network
from spnet.export.graph import INPUTS, OUTPUTS, ExportableDetector
from spnet.inference.images import fit_window, read_pixels
from spnet.inference.onnx_searcher import OnnxModel
from spnet.models.checkpoints import load_network
from spnet.synthetic.scenario import pretraining_scenes

SHORTEST, LONGEST = 90, 1600  # pixels a side
WARM_UP = 2  # images that are not timed
Result = TypeVar("Result")


def main() -> None:
    """Export, compare, time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="folders of images")
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--window", type=int, nargs=2, metavar=("H", "W"))
    parser.add_argument("--score-threshold", type=float, default=0.05)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        began = time.perf_counter()
        info, _ = export_network(options.weights, file, window=options.window and tuple(options.window))
        facts = {"preset": info.preset, "window": info.window, "export_seconds": round(time.perf_counter() - began, 1)}
        facts |= {"file_mb": round(file.stat().st_size / 1e6, 1)}
        detector = ExportableDetector(load_network(options.weights), info.window)
        images = list(make_images(options.images, options.real))
        measured = measure(OnnxModel(file, str(file)), detector, images, options)
    asked = {"images": options.images, "threads": 1, "score_threshold": options.score_threshold}
    emit("onnx_export", asked | facts | measured)


def make_images(count: int, folders: list[Path]) -> Iterator[npt.NDArray[np.uint8]]:
    """Images (H, W, 3): at most half of them real, a fifth noise, the others rendered."""
    random = np.random.default_rng(0)
    real = find_files(folders) if folders else []
    chosen = [real[row] for row in np.linspace(0, len(real) - 1, min(len(real), count // 2)).astype(int)]
    yield from map(read_pixels, chosen)
    noise = count // 5
    for _ in range(noise):
        yield random.integers(0, 256, (*random.integers(SHORTEST, LONGEST, 2), 3), dtype=np.uint8)
    for scene in pretraining_scenes(count - len(chosen) - noise, 0):
        height, width, _ = scene.rendered.image.shape
        top, left = random.integers(0, height // 3), random.integers(0, width // 3)
        yield np.ascontiguousarray(scene.rendered.image[top:, left:])


def measure(
    model: OnnxModel, detector: ExportableDetector, images: list[npt.NDArray[np.uint8]], options: argparse.Namespace
) -> dict[str, object]:
    """Differences over all images, and speed, each image through both before the next one."""
    differences, seconds = Differences(), []
    for image in images:
        batch = fit_window([image], model.info.window, model.info.antialias)
        values = (batch.images, batch.sizes, torch.tensor(options.score_threshold), torch.zeros(0, 5))
        found, ours = timed(partial(model.run, dict(zip(INPUTS["object"], values, strict=True))))
        expected, theirs = timed(partial(detector, *values))
        differences += compare(found, dict(zip(OUTPUTS["object"], expected, strict=True)))
        seconds.append((ours, theirs))
    ours, theirs = (len(part) / sum(part) for part in zip(*seconds[WARM_UP:], strict=True))
    return {
        "sizes": len({image.shape for image in images}),
        "detections": differences.detections // 2,
        "unmatched": differences.unmatched,
        "box_px": differences.box,
        "score": differences.score,
        "cosine": differences.cosine,
        "onnxruntime_images_per_second": round(ours, 3),
        "pytorch_images_per_second": round(theirs, 3),
        "ratio": round(ours / theirs, 3),
    }


@torch.inference_mode()
def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What it gives, and after how many seconds."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


if __name__ == "__main__":
    main()
