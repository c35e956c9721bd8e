"""Rows of tracklets and detections; a file written in parts gives what one go gives."""

from typing import Any

import numpy as np
import pytest

from spnet.gallery.schema import SourceRow
from spnet.gallery.thumbnails import thumbnail
from spnet.gallery.tracker import People, Row, Tracker
from spnet.gallery.tracklets import LinkingConfig, normalized

CONFIG = LinkingConfig(max_gap=0.5)
PIXELS = np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)


def make_source(**changes: Any) -> SourceRow:
    columns: dict[str, Any] = {
        "id": "abc", "file": "walk.mp4", "kind": "video", "camera": "gate", "start": 1000.0, "fps": 5.0, "tracks": True,
        "duration": 6.0, "next_time": 0.0, "parts": 0, "done": False, "frames": 0, "width": 200, "height": 120,
    }  # fmt: skip
    return SourceRow(**columns | changes)


def people_at(frame: int) -> People:
    """Two people who walk; the second is hidden for a second, so that its track ends and another begins."""
    random = np.random.default_rng(frame)
    rows = [0, 1] if not 10 <= frame < 15 else [0]
    left = np.array([[5 + 4 * frame, 10, 25 + 4 * frame, 80], [150 - 3 * frame, 20, 175 - 3 * frame, 110]], np.float32)
    embeddings = normalized((np.eye(2, 6) + 0.1 * random.normal(size=(2, 6))).astype(np.float32))
    rounded = embeddings.astype(np.float16).astype(np.float32)
    boxes, scores = left[rows], random.uniform(0.5, 1, 2).astype(np.float32)[rows]
    return People(boxes, scores, rounded[rows], lambda row: thumbnail(PIXELS, boxes[row]))


def run(tracker: Tracker, frames: range) -> None:
    for frame in frames:
        tracker.add(frame / 5, people_at(frame))


def test_rows_of_a_walk() -> None:
    tracker = Tracker(make_source(), "print", CONFIG)
    run(tracker, range(25))
    tracklets, detections = tracker.take(3, last=True)
    assert [(row["first"], row["last"], row["frames"]) for row in tracklets] == [
        (0, 1.8, 10),
        (0, 4.8, 25),
        (3, 4.8, 10),
    ]
    assert len(detections) == 45
    for row in tracklets:
        mine = [seen for seen in detections if seen["tracklet"] == row["id"]]
        assert row["frames"] == len(mine)
        assert row["score"] == pytest.approx(np.mean([seen["score"] for seen in mine]))
        mean = np.mean([seen["embedding"] for seen in mine], axis=0)
        assert np.allclose(row["embedding"], mean / np.linalg.norm(mean), atol=1e-6)
        assert (row["clock_first"], row["clock_last"]) == (1000 + row["first"], 1000 + row["last"])
        quality = {seen["time"]: seen["score"] * (seen["box"][3] - seen["box"][1]) for seen in mine}
        assert row["times"][0] == max(quality, key=lambda time: quality[time])
        gaps = np.abs(np.subtract.outer(row["times"], row["times"]))[np.triu_indices(len(row["times"]), 1)]
        assert 1 <= len(row["times"]) <= 3
        assert (gaps >= 1).all()
        assert all(jpeg.startswith(b"\xff\xd8") for jpeg in row["thumbnails"])
        assert (row["camera"], row["file"], row["fingerprint"], row["part"]) == ("gate", "walk.mp4", "print", 3)


@pytest.mark.parametrize("cut", [1, 6, 10, 12, 16, 24])
def test_going_on_gives_what_one_go_gives(cut: int) -> None:
    whole = Tracker(make_source(), "print", CONFIG)
    run(whole, range(25))
    expected = whole.take(0, last=True)
    first = Tracker(make_source(), "print", CONFIG)
    run(first, range(cut))
    tracklets, detections = first.take(0)
    ended = {row["id"] for row in tracklets}
    stored = [row for row in detections if row["tracklet"] not in ended]
    second = Tracker(make_source(), "print", CONFIG)
    second.restore([row["tracklet"] for row in detections], stored)
    run(second, range(cut, 25))
    for parts, rows, key in zip(second.take(0, last=True), expected, ("id", "tracklet"), strict=True):
        together = (tracklets if key == "id" else detections) + parts
        assert_same(together, rows, key)


def assert_same(one: list[Row], other: list[Row], key: str) -> None:
    def order(row: Row) -> tuple[str, float]:
        return row[key], row.get("time", 0.0)

    assert len(one) == len(other)
    for mine, theirs in zip(sorted(one, key=order), sorted(other, key=order), strict=True):
        for name in mine.keys() - {"thumbnail"}:
            assert np.array_equal(mine[name], theirs[name]), name


def test_without_tracks_every_detection_stands_alone() -> None:
    tracker = Tracker(make_source(tracks=False), "print", CONFIG)
    run(tracker, range(4))
    tracklets, detections = tracker.take(0)
    assert len(tracklets) == len(detections) == 8
    assert len({row["id"] for row in tracklets}) == 8
    assert all(row["first"] == row["last"] for row in tracklets)


def test_no_clock() -> None:
    tracker = Tracker(make_source(start=None), "print", CONFIG)
    run(tracker, range(2))
    tracklets, detections = tracker.take(0, last=True)
    assert {row["clock_first"] for row in tracklets} == {row["clock"] for row in detections} == {None}


def test_nobody() -> None:
    tracker = Tracker(make_source(), "print", CONFIG)
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 6), np.float32)
    tracker.add(0.0, People(*empty, lambda row: b""))
    assert tracker.take(0, last=True) == ([], [])
