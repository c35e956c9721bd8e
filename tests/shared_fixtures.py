"""What takes seconds, made once."""

import fcntl
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from footage import INFERENCE, write_walk
from killing import PRELOADED
from miniature import make_network
from miniature_scale import make_synthetic_data, miniature_scale, write_classifier
from preloaded import preload
from reproducing import command, shrink_small_scale
from small_dataset import make_dataset, options
from spnet.cli.main import main
from spnet.models.checkpoints import save_weights
from spnet.paper.paper_table import Scale

if TYPE_CHECKING:
    from serving import Served

torch.set_num_threads(1)
multiprocessing.set_forkserver_preload(PRELOADED)  # the one server of all tests

Shared = Callable[[str, Callable[[Path], object]], Path]  # a name and what fills a new folder of that name


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """A folder that the first of the processes that want it fills for all of them; not to be changed."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def share(name: str, fill: Callable[[Path], object]) -> Path:
        folder = base / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with open(f"{folder}.lock", "a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            if not lock.read():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
                folder.mkdir()
                fill(folder)
                lock.write("filled")
        return folder

    return share


@pytest.fixture(scope="session")
def preloaded(pytestconfig: pytest.Config) -> Iterator[str]:
    """A `python`, with an `spnet` beside it, that begins with PyTorch imported."""
    if workerinput := getattr(pytestconfig, "workerinput", None):
        yield workerinput["preloaded"]
    else:
        with preload() as python:
            yield python


@pytest.fixture(scope="session")
def small_data(shared: Shared) -> Path:
    """A prepared data set of images with two people each; not to be changed."""
    return shared("small_data", make_dataset) / "data"


@pytest.fixture(scope="session")
def small_run(small_data: Path, shared: Shared) -> Path:
    """A run fine-tuned object-centric until it finds people in `small_data`; not to be changed."""

    def fill(folder: Path) -> None:
        keys = options(optimizer__epochs=30)
        assert main(["train", "spnet-tiny", "--data", str(small_data), "--output", str(folder / "run"), *keys]) == 0

    return shared("small_run", fill) / "run"


@pytest.fixture(scope="session")
def synthetic_data(shared: Shared) -> Path:
    """A data set like that of `spnet prepare synthetic`; not to be changed."""
    return shared("synthetic_data", make_synthetic_data) / "data"


@pytest.fixture(scope="session")
def miniature(classifier: Path) -> Scale:
    """The miniature scale with its classifier."""
    return miniature_scale(classifier)


@pytest.fixture(scope="session")
def classifier(shared: Shared) -> Path:
    """What the miniature networks start from."""
    name = "classifier.safetensors"
    return shared("classifier", lambda folder: write_classifier(folder / name)) / name


@pytest.fixture
def small_scale_is_miniature(classifier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--scale small` is miniature, and its classifier is there at once."""
    shrink_small_scale(classifier, monkeypatch)


@pytest.fixture(scope="session")
def made(synthetic_data: Path, classifier: Path, shared: Shared) -> Path:
    """Table 8 with two seeds, made from nothing; not to be changed."""

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            shrink_small_scale(classifier, patch)
            assert main(command(synthetic_data, folder, "--seeds", "0", "1", "0")) == 0

    return shared("made", fill)


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


@pytest.fixture(scope="session")
def indexed(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index and its two videos, one with markup in its camera's name; not to be changed."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "videos").mkdir()
    from spnet import Gallery

    gallery = Gallery.open(folder / "index", weights, create=True)
    for number, camera in enumerate(("gate", "<img src=x onerror=alert(1)>")):
        gallery.add(write_walk(folder / "videos" / f"{number}.mp4", seed=number), fps=5, camera=camera)
    return folder


@pytest.fixture(scope="module")
def served(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Served"]:
    """An app over a copy of the index, with a purpose."""
    from serving import serve

    index = shutil.copytree(indexed / "index", tmp_path_factory.mktemp("served") / "index")
    for app in serve(index, indexed / "videos"):
        app.state.set_purpose("testing the page")
        yield app


@pytest.fixture(scope="module")
def locked(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Served"]:
    """An app with a token."""
    from serving import serve

    index = shutil.copytree(indexed / "index", tmp_path_factory.mktemp("locked") / "index")
    for app in serve(index, indexed / "videos", "0123456789abcdef"):
        app.state.set_purpose("testing the page")
        yield app
