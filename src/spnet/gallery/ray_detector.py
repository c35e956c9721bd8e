"""Finds the people of files on the machines of a Ray cluster: each chunk is a task of one of Ray Data's actors.

Linking needs the frames of a video in order, and an index has one writer. So both stay where the command was given;
what comes back for a frame are boxes, scores, embeddings and thumbnails.
"""

import logging
import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from spnet.errors import UserError
from spnet.evaluation.extract import default_device
from spnet.extras import import_extra
from spnet.gallery.frames import Batch, Chunk, Detector, detect_chunk
from spnet.inference.searcher import Searcher
from spnet.models.spnet import SPNet

FRAMES = 300  # of a chunk: the decoder goes back to a key frame at its beginning, and its results wait in memory
PATIENCE = 5.0  # seconds for a cluster to answer
RATE = 25.0  # frames a second, assumed where all are read


class ChunkDetector:
    """Finds the people of numbered chunks on `device` (None: CUDA where there is one); Ray Data's actors run it."""

    def __init__(self, network: SPNet, chunks: Sequence[Chunk], device: str | None, batch_size: int) -> None:
        self._chunks = chunks
        self._searcher = Searcher(network, device or default_device(), batch_size)

    def __call__(self, rows: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, list[bytes]]:
        """The batches of each chunk in column `id`, as bytes."""
        found = (detect_chunk(self._searcher, self._chunks[row]) for row in rows["id"].tolist())
        return {"batches": [pickle.dumps(list(map(_portable, batches))) for batches in found]}


class _Actor(ChunkDetector):
    """Takes its arguments from Ray's object store, where all actors of a machine share them."""

    def __init__(self, arguments: Any) -> None:
        super().__init__(*import_extra("ray").get(arguments))


@contextmanager
def ray_detector(
    address: str, network: SPNet, device: str | None, batch_size: int, frames: int = FRAMES
) -> Iterator[Detector]:
    """A detector on a Ray cluster: an actor on each of its GPUs, or on each CPU core where there are none.

    Args:
        address: `local` starts one on this machine, which ends with the block; `auto` or `host:port` joins one.
        network: is sent there; the machines need this package and the files under the same paths.
        device: `cpu` or `cuda`; None: CUDA on machines that have it.
        batch_size: images at once.
        frames: of a chunk.

    Raises UserError where Ray is not installed, no cluster there, none with `cuda`, or machines are lost.
    """
    ray = import_extra("ray")
    joined = not ray.is_initialized()
    if joined:
        _connect(ray, address)
    try:
        on_gpus = device != "cpu" and ray.cluster_resources().get("GPU", 0) >= 1
        if device == "cuda" and not on_gpus:
            raise UserError(f"--device cuda: the Ray cluster {address} has no GPU")
        number = int(ray.cluster_resources()["GPU" if on_gpus else "CPU"])

        def run(chunks: Sequence[Chunk]) -> Iterator[list[Batch]]:
            arguments = ray.put((deepcopy(network).cpu(), chunks, device, batch_size))
            resources = {"num_cpus": 1, "num_gpus": int(on_gpus), "fn_constructor_args": (arguments,)}
            pool = ray.data.ActorPoolStrategy(size=min(number, len(chunks)))
            rows = ray.data.from_items([{"id": row} for row in range(len(chunks))], override_num_blocks=len(chunks))
            yield from _results(rows.map_batches(_Actor, batch_size=1, compute=pool, **resources), address)

        yield partial(detect_split, run, ceil(frames / batch_size) * batch_size)
    finally:
        if joined:
            ray.shutdown()


def detect_split(
    run: Callable[[Sequence[Chunk]], Iterator[list[Batch]]], frames: int, chunks: Sequence[Chunk]
) -> Generator[Iterator[Batch], None, None]:
    """The batches of each chunk, by a function that takes smaller ones (of `frames` frames) and keeps their order."""
    parts = [split(chunk, frames) for chunk in chunks]
    results = run(list(chain.from_iterable(parts)))
    for own in parts:
        mine = islice(results, len(own))
        yield chain.from_iterable(mine)
        deque(mine, maxlen=0)  # of a video that cannot be read any further


def split(chunk: Chunk, frames: int) -> list[Chunk]:
    """A chunk as smaller ones that follow one another, of at most `frames` images or about as many frames each."""
    if chunk.sources[0].kind == "image":
        return [
            replace(chunk, sources=chunk.sources[row : row + frames]) for row in range(0, len(chunk.sources), frames)
        ]
    (source,) = chunk.sources
    step = frames / (source.fps or RATE)
    edges = np.arange(chunk.begin, max(source.duration or 0.0, chunk.begin + step), step).tolist()
    return [Chunk([source], begin, end) for begin, end in zip(edges, [*edges[1:], None], strict=True)]


def _connect(ray: Any, address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors come as exceptions
    options = {"include_dashboard": False} if address == "local" else {}
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal():  # Ray itself would try for minutes
            socket.create_connection((host.removeprefix("ray://"), int(port)), PATIENCE).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except Exception as error:  # Ray raises it plainly, too, where its processes do not start in time
        reason = (getattr(error, "strerror", None) or str(error).splitlines()[0]).partition(". ")[0]
        raise UserError(f"--ray {address}: {reason}; `local` starts a cluster on this machine") from None


def _results(rows: Any, address: str) -> Iterator[list[Batch]]:
    """The batches of each chunk, in order."""
    rows.context.execution_options.preserve_order = True
    rows.context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    errors = import_extra("ray").exceptions
    try:
        for row in rows.iter_rows():
            yield unpack(row["batches"])
    except errors.RayTaskError:  # an error of the program
        raise
    except errors.RayError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--ray {address}: {reason}; the same command goes on from what was written") from None


def unpack(batches: bytes) -> list[Batch]:
    """What `ChunkDetector` found in a chunk; from the own cluster alone, as Ray's own pickles."""
    found: list[Batch] = pickle.loads(batches)
    return found


def _portable(batch: Batch) -> Batch:
    frames = [replace(frame, people=frame.people.with_thumbnails()) for frame in batch.frames]
    return replace(batch, frames=frames)
