"""Does the loader keep up? Views a second, and how long a training step waits for its batch.

    python benchmarks/loader.py [--augmentation rrc_scale] [--size 640x480] [--num-workers 2] [--batch-size 8]
        [--views 2]

Prints one JSON line: views a second when nothing is done with them, and for training steps of several lengths (the
consumer sleeps, as a process does whose GPU works) the mean milliseconds a step waits.
"""

import argparse
import tempfile
import time
from pathlib import Path

from emit import emit
from images import make_scenes
from spnet.config.schema import Augmentation
from spnet.data.dataloader import TrainingLoader
from spnet.data.dataset import PersonSearchDataset

STEPS_MS = (0, 25, 50, 100, 200)
WARM_UP = 4  # batches, while the workers start


def waiting(loader: TrainingLoader, epoch: int, step: float) -> float:
    """Mean seconds that `next` takes in an epoch when every step lasts `step` seconds."""
    loader.set_progress(epoch, 0)
    batches = iter(loader)
    waits = []
    for _ in range(len(loader)):
        start = time.perf_counter()
        next(batches)
        waits.append(time.perf_counter() - start)
        time.sleep(step)
    return sum(waits[WARM_UP:]) / len(waits[WARM_UP:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--augmentation", default="rrc_scale")
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--num-workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--batches", type=int, default=30)
    options = parser.parse_args()
    width, height = (int(length) for length in options.size.split("x"))
    augmentation = Augmentation(options.augmentation, num_views=options.views)
    with tempfile.TemporaryDirectory() as folder:
        annotations = make_scenes(Path(folder), width, height, options.batches * options.batch_size)
        loader = TrainingLoader(
            PersonSearchDataset(annotations, augmentation, seed=0), options.batch_size, options.num_workers, seed=0
        )
        waits = {step: waiting(loader, epoch, step / 1e3) for epoch, step in enumerate(STEPS_MS)}
    result = {
        **vars(options),
        "views_per_second": round(options.batch_size * options.views / waits[0], 1),
        "wait_ms_per_step_of_ms": {step: round(wait * 1e3, 1) for step, wait in waits.items() if step},
    }
    emit("loader", result)


if __name__ == "__main__":
    main()
