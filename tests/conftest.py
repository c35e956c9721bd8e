"""Makes this folder importable, so that tests of several rooms share `miniature`; and what takes seconds, made once."""

import os
import signal
from pathlib import Path

import pytest
import torch

from small_dataset import make_dataset, options

# sums of several threads are not the same to the bit each time; for what the tests start, too
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
# ignored where pytest was started in the background, and then by all it starts
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set of pictures with two people each; not to be changed."""
    return make_dataset(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small_run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run fine-tuned object-centric until it finds people in `small_data`; not to be changed."""
    from spnet.cli import main

    run = tmp_path_factory.mktemp("runs") / "small"
    keys = options(optimiser__epochs=30)
    assert main(["train", "spnet-tiny", "--data", str(small_data), "--output", str(run), *keys]) == 0
    return run
