"""A tiny index behind the app, on a port of its own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import sleep

import pytest
import uvicorn

from footage import write_walk
from spnet import Gallery
from spnet.app.guard import Access
from spnet.app.server import create_app, listen
from spnet.app.state import AppState


@dataclass(frozen=True)
class Served:
    """A running app."""

    state: AppState
    port: int
    index: Path
    videos: Path

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def indexed(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index and its two videos, one with markup in its camera's name; not to be changed."""
    folder = tmp_path_factory.mktemp("app")
    (folder / "videos").mkdir()
    gallery = Gallery.open(folder / "index", weights, create=True)
    for number, camera in enumerate(("gate", "<img src=x onerror=alert(1)>")):
        gallery.add(write_walk(folder / "videos" / f"{number}.mp4", seed=number), fps=5, camera=camera)
    return folder


def serve(index: Path, videos: Path, token: str | None = None) -> Iterator[Served]:
    """Run an app until the test is over."""
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    state = AppState(Gallery.open(index), lambda: Gallery.open(index), may_add=True)
    app = create_app(state, Access("127.0.0.1", port, token))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    thread = Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started and thread.is_alive():
        sleep(0.05)
    yield Served(state, port, index, videos)
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def served(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app over a copy of the index, with a purpose."""
    index = shutil.copytree(indexed / "index", tmp_path_factory.mktemp("served") / "index")
    for app in serve(index, indexed / "videos"):
        app.state.set_purpose("testing the page")
        yield app


@pytest.fixture(scope="module")
def locked(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app with a token."""
    index = shutil.copytree(indexed / "index", tmp_path_factory.mktemp("locked") / "index")
    for app in serve(index, indexed / "videos", "0123456789abcdef"):
        app.state.set_purpose("testing the page")
        yield app
