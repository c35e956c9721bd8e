"""What `docs/reliability.md` promises, put to the test: killed runs, flipped bits, numbers that are not finite, traps.

Prints one JSON line; of each campaign how many cases ended as promised, and how many there were. A short version of
each is in the test suite. No campaign relies on `assert`: run it under `python -O` too.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # sums of several threads are not the same to the bit each time
TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

import torch  # noqa: E402

from emit import emit  # noqa: E402
from hostile_files import pickles  # noqa: E402
from killing import finish, random_kill, whole  # noqa: E402
from small_dataset import make_dataset  # noqa: E402
from spnet.errors import UserError  # noqa: E402
from spnet.models.checkpoints import read_weights  # noqa: E402
from spnet.models.pretrained import read_state  # noqa: E402
from spnet.runs.folder import LAST  # noqa: E402
from spnet.training.sealed_checkpoints import SealedCheckpoints  # noqa: E402

MOST_KILLS = 3  # of one run


def main() -> None:
    """All campaigns, on a data set and a network of miniature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="runs that are killed (default %(default)s)")
    parser.add_argument("--flips", type=int, default=2000, help="flipped bits (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator, started = random.Random(arguments.seed), time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_dataset(folder / "small")
        values = kill_runs(data, folder, arguments.kills, generator)
        values |= flip_bits(folder / "whole0", arguments.flips, generator)
        values |= spring_traps(folder)
    emit("reliability", values | {"optimized": not __debug__, "seconds": round(time.perf_counter() - started)})


def kill_runs(data: Path, folder: Path, runs: int, generator: random.Random) -> dict[str, object]:
    """Runs without and with two workers by turns, each killed one to three times: is the result the uninterrupted one?

    A run that no kill met in time does not count; another takes its place.
    """
    equal = kills = counted = number = 0
    expected = {workers: whole(data, folder / f"whole{workers}", workers) for workers in (0, 2)}
    while counted < runs:
        workers, run = 2 * (number % 2), folder / f"run{number}"
        number += 1
        weights, seconds = expected[workers]
        planned = [random_kill(generator, seconds) for _ in range(generator.randint(1, MOST_KILLS))]
        if killed := finish(data, run, workers, planned):
            counted, kills = counted + 1, kills + killed
            equal += (run / "weights.safetensors").read_bytes() == weights
    return {"killed_runs": counted, "killed_runs_equal": equal, "kills": kills}


def flip_bits(run: Path, flips: int, generator: random.Random) -> dict[str, object]:
    """One bit of a checkpoint or of a weights file, by turns: is the file refused, or read as it was?"""
    refused = harmless = 0
    sealed = SealedCheckpoints()
    cases: list[tuple[Path, Callable[[Path], dict[str, torch.Tensor]]]] = [
        (run / LAST, lambda file: sealed.load_checkpoint(file)["state_dict"]),
        (run / "weights.safetensors", lambda file: read_weights(file).state),
    ]
    for number in range(flips):
        file, read = cases[number % 2]
        content, expected = bytearray(file.read_bytes()), read(file)
        bit = generator.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        flipped = file.with_name(f"flipped{file.suffix}")
        flipped.write_bytes(content)
        try:
            found = read(flipped)
        except UserError:
            refused += 1
            continue
        same = found.keys() == expected.keys()
        harmless += same and all(torch.equal(value, expected[name]) for name, value in found.items())
    return {"flipped_bits": flips, "flipped_bits_refused": refused, "flipped_bits_harmless": harmless}


def spring_traps(folder: Path) -> dict[str, object]:
    """Pickles made to harm, as weights and as checkpoints: is each refused, and nothing executed?"""
    canary, refused = folder / "canary", 0
    made = pickles(canary)
    for content in made.values():
        (folder / "trap.ckpt").write_bytes(content)
        try:
            if not read_state(folder / "trap.ckpt"):
                refused += 1  # nothing in it is a tensor
        except UserError:
            refused += 1
    return {"hostile_files": len(made), "hostile_files_refused": 0 if canary.exists() else refused}


if __name__ == "__main__":
    main()
