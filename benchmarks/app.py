"""What the local app answers in over a large index: its first page, and hits once the query's embedding is there.

    python benchmarks/app.py --rows 100000

The rows are random, each with three thumbnails; the app runs as `spnet app` runs it, and is asked over HTTP. A search
starts from a tracklet, whose embedding is in the index: the network has no part in it. The floor is the same nearest
neighbours from the store alone.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from emit import emit
from serving import Served, serve
from spnet.gallery.lance import as_arrow
from spnet.gallery.schema import SOURCES, TRACKLETS, SourceRow
from spnet.gallery.store import Store
from spnet.gallery.thumbnails import LONGEST
from spnet.gallery.tracklets import normalized
from spnet.reports.images import encode_jpeg

DIMS, PEOPLE, CAMERAS, TURNS = 128, 5000, 8, 15
BATCH = 5000
TOP = 24  # hits of the page


def main() -> None:
    """Make an index, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        index = Path(name) / "index"
        store = make_index(index, arguments.rows)
        with contextmanager(serve)(index, Path(name)) as served:
            served.state.set_purpose("a benchmark of the app")
            emit("app", {"rows": arguments.rows, **ask(served, store, arguments.rows)})


def make_index(index: Path, rows: int) -> Store:
    """An index of random tracklets of `PEOPLE` people."""
    random = np.random.default_rng(0)
    store = Store.create(str(index), DIMS, {"fingerprint": "none", "weights": "none"})
    centers = random.normal(size=(PEOPLE, DIMS)).astype(np.float32)
    thumbnails = [encode_jpeg(random.integers(0, 255, (128, 64, 3), np.uint8), LONGEST) for _ in range(3)]
    for begin in range(0, rows, BATCH):
        numbers = range(begin, min(begin + BATCH, rows))
        noise = random.normal(size=(len(numbers), DIMS)).astype(np.float32)
        embeddings = normalized(centers[random.integers(0, PEOPLE, len(numbers))] + 0.7 * noise)
        tracklets = [
            {
                "id": f"c{number % CAMERAS}-{number}",
                "source": f"c{number % CAMERAS}",
                "part": 0,
                "file": f"camera{number % CAMERAS}.mp4",
                "camera": f"camera{number % CAMERAS}",
                "first": float(number),
                "last": number + 5.0,
                "clock_first": float(number),
                "clock_last": number + 5.0,
                "frames": 25,
                "score": 0.9,
                "boxes": [[10.0, 10.0, 50.0, 110.0]] * 3,
                "times": [number + 1.0, number + 2.0, number + 3.0],
                "box_scores": [0.9] * 3,
                "thumbnails": thumbnails,
                "embedding": embedding,
                "fingerprint": "none",
            }
            for number, embedding in zip(numbers, embeddings, strict=True)
        ]
        table = store.table(TRACKLETS)
        table.add(as_arrow(tracklets, table.schema))
    cameras = [
        SourceRow(
            f"c{row}", f"camera{row}.mp4", "video", f"camera{row}", 0.0, 5.0, True, 1.0, 1.0, 1, True, 5, 640, 480
        )
        for row in range(CAMERAS)
    ]
    store.upsert(SOURCES, "id", [vars(camera) for camera in cameras])
    store.compact()
    return store


def ask(served: Served, store: Store, rows: int) -> dict[str, object]:
    """Milliseconds of each request, and of the store alone."""
    random = np.random.default_rng(1)
    image = served.state.uploads.add(np.zeros((200, 100, 3), np.uint8))
    with httpx.Client(base_url=served.origin, headers={"Origin": served.origin}, timeout=60) as client:

        def search(**limits: object) -> httpx.Response:
            number = int(random.integers(0, rows))
            query = {"upload": image, "box": [10, 10, 50, 110], "tracklet": f"c{number % CAMERAS}-{number}"}
            return client.post("/api/searches", json={"queries": [query], "limits": {"top": TOP, **limits}})

        found = search().json()
        marks = {"right": [found["hits"][1]["id"]], "wrong": [found["hits"][-1]["id"]]}
        measured = {  # the app keeps the last searches alone: first what needs this one
            "first_page_ms": clock(lambda: (client.get("/"), client.get("/api/state"))),
            "thumbnail_ms": clock(lambda: client.get(f"/api/searches/{found['id']}/thumbnails/1/0")),
            "marks_ms": clock(lambda: client.post(f"/api/searches/{found['id']}/marks", json=marks)),
            "search_ms": clock(search),
            "search_filtered_ms": clock(lambda: search(cameras=["camera1"])),
        }
    direction = normalized(random.normal(size=DIMS).astype(np.float32))
    return {"hits": len(found["hits"]), **measured, "store_ms": clock(lambda: store.nearest(TRACKLETS, direction, TOP))}


def clock(work: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of some turns: median and slowest. Raises HTTPError for a request that is refused."""
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        done = work()
        times.append(1000 * (time.perf_counter() - began))
        for response in done if isinstance(done, tuple) else (done,):
            if isinstance(response, httpx.Response):
                response.raise_for_status()
    return {"median": round(float(np.median(times)), 1), "slowest": round(max(times), 1)}


if __name__ == "__main__":
    main()
