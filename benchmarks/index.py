"""What an index costs: time beside the detector's own, memory over the length of a video, and searches of many rows.

    python benchmarks/index.py --weights RUN              # indexing a synthetic walk
    python benchmarks/index.py --rows 1000000 --dims 256  # searching

Indexing is compared with the same network on the same frames, already decoded, by turns: a machine's speed changes in
seconds. Searched are random directions around as many centers as --people, an eighth of the rows a camera; recall@10 of
the approximate index is counted against the exact search.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from emit import emit
from spnet import Gallery, Searcher
from spnet.data.video import read_frames
from spnet.extras import import_extra
from spnet.gallery.schema import TRACKLETS, tracklet_schema
from spnet.gallery.store import Store
from spnet.gallery.tracklets import Array, normalized
from spnet.synthetic.walk import prepare_walk

FPS = 5
TURNS = 7
QUERIES = 30
WARM_UP = 2  # searches that are not timed
BATCH = 20_000
CAMERAS = 8
FILTER = "camera = 'c1' AND clock_first >= {low} AND clock_first <= {high}"
Pixels = npt.NDArray[np.uint8]
COLUMNS = ("id", "camera", "thumbnails", "_distance")


def main() -> None:
    """Measure one of the two, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 60], help="lengths of the videos")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--dims", type=int, default=256)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        print(peak_memory(arguments.weights, arguments.peak_of))
    elif arguments.rows:
        emit("index_search", measure_searches(arguments.rows, arguments.dims, arguments.people))
    else:
        emit("index", measure_indexing(arguments.weights, arguments.seconds))


def measure_indexing(weights: Path, lengths: list[float]) -> dict[str, object]:
    """Peak memory for each length; seconds of indexing the first, and of the detector alone, by turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = [prepare_walk(folder / f"walk{length:g}", seconds=length, people=8)[0] for length in lengths]
        peaks = {
            f"{length:g} s": peak_in_process(weights, video) for length, video in zip(lengths, videos, strict=True)
        }
        frames = [frame.pixels for frame in read_frames(videos[0], FPS)]
        searcher = Searcher.load(weights)
        seconds_to_detect(searcher, frames)
        detected, indexed = [], []
        for turn in range(TURNS):
            detected.append(seconds_to_detect(searcher, frames))
            gallery = Gallery.open(folder / f"index{turn}", weights, create=True)
            gallery.searcher.detect(frames[: searcher.batch_size])
            began = time.perf_counter()
            gallery.add(videos[0], fps=FPS)
            indexed.append(time.perf_counter() - began)
        detected.append(seconds_to_detect(searcher, frames))
    ratios = np.array(indexed) / (np.array(detected[:-1]) + np.array(detected[1:])) * 2  # what was before and after
    return {
        "threads": torch.get_num_threads(),
        "frames": len(frames),
        "detector_seconds": round(float(np.median(detected)), 2),
        "index_seconds": round(float(np.median(indexed)), 2),
        "ratio": round(float(np.median(ratios)), 3),
        "ratios": np.sort(ratios).round(3).tolist(),
        "peak_memory_mb": peaks,
    }


def seconds_to_detect(searcher: Searcher, frames: list[Pixels]) -> float:
    """The detector's own time for frames that are decoded."""
    began = time.perf_counter()
    for row in range(0, len(frames), searcher.batch_size):
        searcher.detect(frames[row : row + searcher.batch_size])
    return time.perf_counter() - began


def peak_in_process(weights: Path, video: Path) -> int:
    """`peak_memory` of a process of its own."""
    command = [sys.executable, __file__, "--weights", str(weights), "--peak-of", str(video)]
    return round(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))


def peak_memory(weights: Path, video: Path) -> float:
    """Most memory of a process that indexes a video, MB."""
    with tempfile.TemporaryDirectory() as folder:
        Gallery.open(Path(folder) / "index", weights, create=True).add(video, fps=FPS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_searches(rows: int, dims: int, people: int) -> dict[str, object]:
    """Milliseconds of a search, recall and size on disk."""
    random = np.random.default_rng(0)
    centers = normalized(random.normal(size=(people, dims)).astype(np.float32))
    queries = normalized(centers[:QUERIES] + 0.3 / dims**0.5 * random.normal(size=(QUERIES, dims)).astype(np.float32))
    where = FILTER.format(low=0.2 * rows, high=0.8 * rows)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(str(Path(folder) / "index"), dims, {"fingerprint": "none"})
        for batch in make_rows(rows, dims, centers, random):
            store.table(TRACKLETS).add(batch)
        store.compact()
        exact, exact_ms = search_all(lambda query: store.nearest(TRACKLETS, query, 10, None, COLUMNS, True), queries)
        right, filtered_ms = search_all(
            lambda query: store.nearest(TRACKLETS, query, 10, where, COLUMNS, True), queries
        )
        plain = size_on_disk(Path(folder))
        began = time.perf_counter()
        store.make_index()
        build = time.perf_counter() - began
        close, close_ms = search_all(lambda query: store.nearest(TRACKLETS, query, 10, None, COLUMNS), queries)
        near, near_ms = search_all(lambda query: store.nearest(TRACKLETS, query, 10, where, COLUMNS), queries)
        filter_ms = milliseconds(lambda _: store.count(TRACKLETS, where), queries)
        indexed = size_on_disk(Path(folder))
    return {
        "rows": rows,
        "dims": dims,
        "people": people,
        "exact_ms": exact_ms,
        "exact_filtered_ms": filtered_ms,
        "approximate_ms": close_ms,
        "approximate_filtered_ms": near_ms,
        "filter_alone_ms": filter_ms,
        "recall@10": recall(exact, close),
        "recall@10_filtered": recall(right, near),
        "build_seconds": round(build, 1),
        "mb": round(plain),
        "mb_with_index": round(indexed),
    }


def make_rows(rows: int, dims: int, centers: Array, random: np.random.Generator) -> Iterator[object]:
    """Tracklets without thumbnails, in batches."""
    pa = import_extra("pyarrow")
    schema = tracklet_schema(dims)
    for begin in range(0, rows, BATCH):
        count = min(BATCH, rows - begin)
        noise = random.normal(size=(count, dims)).astype(np.float32) / dims**0.5
        embeddings = normalized(centers[random.integers(0, len(centers), count)] + 0.7 * noise).astype(np.float16)
        number = np.arange(begin, begin + count)
        columns = {name: pa.nulls(count, schema.field(name).type) for name in schema.names}
        columns |= {
            "id": pa.array([f"t{row}" for row in number]),
            "camera": pa.array([f"c{row % CAMERAS}" for row in number]),
            "clock_first": pa.array(number.astype(float)),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(embeddings.ravel()), dims),
        }
        yield pa.table([columns[name] for name in schema.names], schema=schema)


def search_all(
    search: Callable[[Array], list[dict[str, object]]], queries: Array
) -> tuple[list[set[object]], dict[str, float]]:
    """Ids found of each query, and milliseconds: median and slowest after two to warm up."""
    found: list[set[object]] = []
    times = milliseconds(lambda query: found.append({row["id"] for row in search(query)}), queries)
    return found[WARM_UP:], times


def milliseconds(work: Callable[[Array], object], queries: Array) -> dict[str, float]:
    """Median and slowest of what is done with each query, after the first ones to warm up."""
    times = []
    for query in [*queries[:WARM_UP], *queries]:
        began = time.perf_counter()
        work(query)
        times.append(1000 * (time.perf_counter() - began))
    return {"median": round(float(np.median(times[WARM_UP:])), 1), "slowest": round(max(times[WARM_UP:]), 1)}


def recall(right: list[set[object]], found: list[set[object]]) -> float:
    """Share of the right rows that were found."""
    shares = [len(one & other) / len(one) for one, other in zip(right, found, strict=True) if one]
    return round(float(np.mean(shares)), 4)


def size_on_disk(folder: Path) -> float:
    """MB of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
