"""How fast are synthetic scenes drawn, on one core, and how much of that does encoding the JPEG files alone take?

    python benchmarks/synthetic.py [--scenes 60] [--rounds 5]

Prints one JSON line: scenes a second for fine-tuning scenes and for pre-training scenes (which need a new street every
few scenes), both with their JPEG encoding; pictures a second of encoding alone, the floor; and the ratios. The best
round counts, since other work on the machine only ever adds time.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from spnet.data.synthetic.camera import Picture
from spnet.data.synthetic.casting import CAMERAS, SIZE, TRAIN, fine_tuning_scenes, pretraining_scenes
from spnet.data.synthetic.dataset import encode


def seconds_each(pictures: Iterator[Picture], count: int) -> float:
    """Seconds to make and encode one of `count` pictures."""
    start = time.perf_counter()
    for _ in range(count):
        encode(next(pictures))
    return (time.perf_counter() - start) / count


def repeated(pictures: list[Picture]) -> Iterator[Picture]:
    while True:
        yield from pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    count, rounds = options.scenes, options.rounds
    fine_tuning = (scene.drawn.picture for scene in fine_tuning_scenes(TRAIN, CAMERAS + count * rounds, 50, 0))
    drawn = [next(fine_tuning) for _ in range(CAMERAS)]  # the streets of all cameras are made with the first scenes
    pretraining = (scene.drawn.picture for scene in pretraining_scenes(count * rounds, 0))
    sources: dict[str, Iterable[Picture]] = {
        "fine_tuning": fine_tuning,
        "pretraining": pretraining,
        "encoding_alone": repeated(drawn),
    }
    best = dict.fromkeys(sources, np.inf)
    for _ in range(rounds):
        for name, pictures in sources.items():
            best[name] = min(best[name], seconds_each(iter(pictures), count))
    report = {f"{name}_per_second": round(1 / seconds, 1) for name, seconds in best.items()}
    ratios = {f"{name}_to_encoding": round(best[name] / best["encoding_alone"], 1) for name in list(best)[:2]}
    print(json.dumps({"size": SIZE, **report, **ratios}))


if __name__ == "__main__":
    main()
