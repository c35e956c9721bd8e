"""A tiny network and tiny videos to index."""

from pathlib import Path

import pytest

from footage import INFERENCE, write_walk
from miniature import make_network
from spnet.models.checkpoints import save_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random weights that finds something everywhere; not to be changed."""
    file = tmp_path_factory.mktemp("network") / "weights.safetensors"
    save_weights(file, make_network(inference=INFERENCE), "object")
    return file


@pytest.fixture(scope="session")
def other_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another network."""
    file = tmp_path_factory.mktemp("network") / "weights.safetensors"
    save_weights(file, make_network(seed=1, inference=INFERENCE), "object")
    return file


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of two colored people, with a clock time; not to be changed."""
    return write_walk(tmp_path_factory.mktemp("videos") / "gate.mp4")
