"""Person search over real video: single detections, tracklets, and tracklets after feedback, judged by ground truth.

    python benchmarks/tracklets.py --weights RUN --sequence PETS09-S2L1 --sequence MOT16-11

Makes a video of each MOTChallenge folder (a camera each), indexes them, and searches for every person of the ground
truth once, with the first box. Ranked are boxes: detections by their own similarity, or tracklets by theirs, of which
each gives its detections, most similar to the query first. A box is right where it overlaps the person's by an IoU of
0.5, once a frame; the frame of the query does not count. recall@10 is the share of the person's frames that the ten
best hits cover. Feedback is that of a person who looks at the ten best tracklets and marks each as right (most of its
boxes are the person's) or wrong, three times. Tracks are judged by motmetrics.
"""

import argparse
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emit import emit
from spnet import Gallery
from spnet.data.converters.labeled import LabeledScene
from spnet.data.converters.mot import read_sequence
from spnet.data.video import VideoWriter
from spnet.gallery.query import rocchio
from spnet.gallery.schema import DETECTIONS, TRACKLETS
from spnet.gallery.tracklets import Array, buffered_iou
from spnet.inference.images import read_pixels

IOU = 0.5
TOP = 10
ROUNDS = 3
RATE = 10  # frames a second of the videos that are made; all are read


@dataclass(frozen=True)
class Table:
    """All detections of the index."""

    frame: npt.NDArray[np.int64]  # (N,) counted through all sequences
    boxes: Array  # (N, 4)
    embeddings: Array  # (N, E)
    tracklet: npt.NDArray[np.int64]  # (N,) row of the tracklets
    directions: Array  # (T, E) of the tracklets


@dataclass(frozen=True)
class Person:
    """One person of the ground truth."""

    query_frame: int
    query_image: Path
    query_box: list[float]
    boxes: dict[int, Array]  # by frame, without the query's


def main() -> None:
    """Index, search, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--sequence", type=Path, action="append", required=True, help="a MOTChallenge folder")
    arguments = parser.parse_args()
    videos = [read_sequence(folder, Counter()) for folder in arguments.sequence]
    with tempfile.TemporaryDirectory() as folder:
        files = [
            write(video, Path(folder) / f"{path.name}.mp4")
            for video, path in zip(videos, arguments.sequence, strict=True)
        ]
        gallery = Gallery.open(Path(folder) / "index", arguments.weights, create=True)
        began = time.perf_counter()
        report = gallery.add(*files, fps=None)
        seconds = time.perf_counter() - began
        table = read_table(gallery, files, [len(video) for video in videos])
        people = list_people(videos)
        queries = embed(gallery, people)
    values = judge(table, people, queries)
    tracks = judge_tracks(table, videos)
    about = {"weights": Path(arguments.weights).name, "sequences": [path.name for path in arguments.sequence]}
    counts = {"people": len(people), "num_detections": len(table.frame), "num_tracklets": len(table.directions)}
    speed = {"frames": report.frames, "index_seconds": round(seconds, 1)}
    emit("tracklets", about | counts | speed | values | {"tracks": tracks})


def write(video: Sequence[LabeledScene], file: Path) -> Path:
    """The frames of a sequence as a video."""
    with VideoWriter(file, RATE) as writer:
        for scene in video:
            writer.write(read_pixels(scene.image))
    return file


def read_table(gallery: Gallery, files: Sequence[Path], lengths: Sequence[int]) -> Table:
    """All detections with their tracklets."""
    begins = dict(zip(map(str, files), np.cumsum([0, *lengths[:-1]]).tolist(), strict=True))
    tracklets = gallery.store.rows(TRACKLETS, None, ["id", "file", "embedding"])
    row_of = {row["id"]: number for number, row in enumerate(tracklets)}
    rows = gallery.store.rows(DETECTIONS, None, ["tracklet", "time", "box", "embedding"])
    owner = [row_of[row["tracklet"]] for row in rows]
    frames = [begins[tracklets[own]["file"]] + round(row["time"] * RATE) for own, row in zip(owner, rows, strict=True)]
    return Table(
        np.array(frames),
        np.array([row["box"] for row in rows], np.float32),
        np.array([row["embedding"] for row in rows], np.float32),
        np.array(owner),
        np.array([row["embedding"] for row in tracklets], np.float32),
    )


def list_people(videos: Sequence[Sequence[LabeledScene]]) -> list[Person]:
    """Everybody who is seen in two frames at least."""
    people, begin = [], 0
    for video in videos:
        seen: dict[Hashable, dict[int, Array]] = {}
        for number, scene in enumerate(video):
            for person in scene.boxes:
                x, y, width, height = person.box
                box = np.array([x, y, x + width, y + height], np.float32)
                seen.setdefault(person.person, {})[begin + number] = box
        for boxes in seen.values():
            first = min(boxes)
            others = {frame: box for frame, box in boxes.items() if frame != first}
            if others:
                people.append(Person(first, video[first - begin].image, boxes[first].tolist(), others))
        begin += len(video)
    return people


def embed(gallery: Gallery, people: Sequence[Person]) -> list[Array]:
    """The queries' embeddings (E,)."""
    return [gallery.embed((person.query_image, person.query_box)) for person in people]


def judge(table: Table, people: Sequence[Person], queries: Sequence[Array]) -> dict[str, Any]:
    """mAP and recall@10 of each way to search."""
    names = ["detections", "tracklets", *(f"feedback_{number}" for number in range(1, ROUNDS + 1))]
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for person, query in zip(people, queries, strict=True):
        right = right_boxes(table, person)
        counted = table.frame != person.query_frame
        own = table.embeddings @ query
        order = np.argsort(-own, kind="stable")
        order = order[counted[order]]
        measured["detections"].append(measure(order, np.arange(len(order)), right, table.frame, len(person.boxes)))
        share = np.bincount(table.tracklet, right, len(table.directions)) / np.bincount(table.tracklet)
        good: set[int] = set()
        bad: set[int] = set()
        direction = query
        for name in names[1:]:
            ranked = np.argsort(-(table.directions @ direction), kind="stable")
            rank = np.empty(len(ranked), np.int64)
            rank[ranked] = np.arange(len(ranked))
            rows = np.flatnonzero(counted)
            order = rows[np.lexsort((-own[rows], rank[table.tracklet[rows]]))]
            hit = rank[table.tracklet[order]]
            measured[name].append(measure(order, hit, right, table.frame, len(person.boxes)))
            for tracklet in ranked[:TOP].tolist():
                (good if share[tracklet] > 0.5 else bad).add(tracklet)
            direction = rocchio(query, table.directions[sorted(good)], table.directions[sorted(bad)])
    return {
        name: {"mAP": round(float(np.mean(columns[0])), 4), "recall@10": round(float(np.mean(columns[1])), 4)}
        for name, values in measured.items()
        if (columns := list(zip(*values, strict=True)))
    }


def right_boxes(table: Table, person: Person) -> npt.NDArray[np.bool_]:
    """Which detections (N,) are the person's."""
    right = np.zeros(len(table.frame), bool)
    for frame, box in person.boxes.items():
        rows = np.flatnonzero(table.frame == frame)
        right[rows] = buffered_iou(table.boxes[rows], box[None], 0.0)[:, 0] >= IOU
    return right


def measure(
    order: npt.NDArray[np.int64],
    hit: npt.NDArray[np.int64],
    right: npt.NDArray[np.bool_],
    frame: npt.NDArray[np.int64],
    relevant: int,
) -> tuple[float, float]:
    """Average precision of detections in an order, of which `hit` they belong to, and recall of the first ten hits."""
    mine = right[order]
    first = np.zeros(len(order), bool)
    rows = np.flatnonzero(mine)
    first[rows[np.unique(frame[order][rows], return_index=True)[1]]] = True
    precision = first.cumsum() / np.arange(1, len(order) + 1)
    return float(precision[first].sum() / relevant), float(first[hit < TOP].sum() / relevant)


def judge_tracks(table: Table, videos: Sequence[Sequence[LabeledScene]]) -> dict[str, float]:
    """IDF1, MOTA and identity switches by motmetrics."""
    import motmetrics

    judge, begin = motmetrics.MOTAccumulator(auto_id=True), 0
    names: dict[Hashable, int] = {}
    for video in videos:
        for number, scene in enumerate(video):
            rows = np.flatnonzero(table.frame == begin + number)
            boxes = np.array([person.box for person in scene.boxes], np.float64).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            distance = 1 - buffered_iou(boxes.astype(np.float32), table.boxes[rows], 0.0).astype(np.float64)
            distance[distance > 1 - IOU] = np.nan
            shown = [names.setdefault(person.person, len(names)) for person in scene.boxes]
            judge.update(shown, table.tracklet[rows].tolist(), distance)
        begin += len(video)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        summary = motmetrics.metrics.create().compute(
            judge, metrics=["idf1", "mota", "num_switches", "recall", "precision"], name="all"
        )
    return {name: round(float(summary[name]["all"]), 4) for name in summary.columns}


if __name__ == "__main__":
    main()
