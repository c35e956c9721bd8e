"""How fast are synthetic scenes rendered, on one core, and how much of that does encoding the JPEG files alone take?

    python benchmarks/synthetic.py [--scenes 60] [--rounds 5]

Prints one JSON line: scenes a second for fine-tuning scenes and for pre-training scenes (which need a new street every
few scenes), both with their JPEG encoding; images a second of encoding alone, the floor; and the ratios. The best
round counts, since other work on the machine only ever adds time.
"""

import argparse
import time
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from emit import emit
from spnet.synthetic.camera import ImageArray
from spnet.synthetic.dataset import encode
from spnet.synthetic.scenario import CAMERAS, SIZE, TRAIN, fine_tuning_scenes, pretraining_scenes


def seconds_each(images: Iterator[ImageArray], count: int) -> float:
    """Seconds to make and encode one of `count` images."""
    start = time.perf_counter()
    for _ in range(count):
        encode(next(images))
    return (time.perf_counter() - start) / count


def repeated(images: list[ImageArray]) -> Iterator[ImageArray]:
    while True:
        yield from images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    count, rounds = options.scenes, options.rounds
    fine_tuning = (scene.rendered.image for scene in fine_tuning_scenes(TRAIN, CAMERAS + count * rounds, 50, 0))
    rendered = [next(fine_tuning) for _ in range(CAMERAS)]  # the streets of all cameras are made with the first scenes
    pretraining = (scene.rendered.image for scene in pretraining_scenes(count * rounds, 0))
    sources: dict[str, Iterable[ImageArray]] = {
        "fine_tuning": fine_tuning,
        "pretraining": pretraining,
        "encoding_alone": repeated(rendered),
    }
    best = dict.fromkeys(sources, np.inf)
    for _ in range(rounds):
        for name, images in sources.items():
            best[name] = min(best[name], seconds_each(iter(images), count))
    report = {f"{name}_per_second": round(1 / seconds, 1) for name, seconds in best.items()}
    ratios = {f"{name}_to_encoding": round(best[name] / best["encoding_alone"], 1) for name in list(best)[:2]}
    emit("synthetic", {"size": SIZE, **report, **ratios})


if __name__ == "__main__":
    main()
