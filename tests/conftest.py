"""Makes this folder importable, so that tests of several rooms share `miniature`; and what takes seconds, made once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from small_dataset import make_dataset, options

# sums of several threads are not the same to the bit each time; for what the tests start, too
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """On pictures this small a second thread costs more than it gains."""
    with single_thread():
        yield


@contextmanager
def single_thread() -> Iterator[None]:
    """As the fixture; what is made for the whole session comes before it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
    with single_thread():
        assert main(["train", "spnet-tiny", "--data", str(small_data), "--output", str(run), *keys]) == 0
    return run
