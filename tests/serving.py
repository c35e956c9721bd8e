"""A running app over a tiny index, for tests that send it requests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import sleep

import uvicorn

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
    try:
        yield Served(state, port, index, videos)
    finally:
        server.should_exit = True
        thread.join()
