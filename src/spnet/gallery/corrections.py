"""Corrects an index by hand: tracklets that are one person become one, one of two people becomes two; and deletes.

A corrected tracklet's row is made anew from its detections; the detections themselves stay as they are.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from spnet.data.sources import read_file_at
from spnet.errors import UserError
from spnet.gallery.lance import one_of, quote
from spnet.gallery.schema import DETECTIONS, SOURCES, TRACKLETS
from spnet.gallery.store import Store
from spnet.gallery.thumbnails import thumbnail
from spnet.gallery.times import parse_clock
from spnet.gallery.tracker import BEST, Row, number_of, quality_of
from spnet.gallery.tracklets import normalized

SHOWN = ("boxes", "times", "box_scores", "thumbnails")  # columns that belong together


def merge(store: Store, ids: Sequence[str]) -> str:
    """Make one tracklet of several of one file and return its id, the first one's.

    Raises UserError for fewer than two, of several files, seen at the same time, or of a file that is not done.
    """
    ids = list(dict.fromkeys(ids))
    rows = _read(store, ids)
    if len(ids) < 2:
        raise UserError("two tracklets or more are needed to merge them")
    if len({row["source"] for row in rows}) > 1:
        raise UserError("tracklets of several files cannot be merged: mark them as right instead")
    seen = store.rows(DETECTIONS, one_of("tracklet", ids))
    if len({row["time"] for row in seen}) < len(seen):
        raise UserError("these tracklets are seen at the same time: they are not one person")
    entries = [entry for row in rows for entry in _shown(row)]
    shown = sorted(entries, key=lambda entry: quality_of(entry["box_scores"], entry["boxes"]), reverse=True)
    merged = _summarize(rows[0], seen, shown[:BEST])
    store.update(DETECTIONS, one_of("tracklet", ids), tracklet=ids[0])
    _replace(store, [merged], ids)
    return ids[0]


def split(store: Store, identity: str, time: float) -> tuple[str, str]:
    """Make two tracklets of one: before `time` (seconds in the file), and from it on; returns their ids.

    Raises UserError where nothing would be left on one side, for one of a file that is not done, and where the file
    that a thumbnail is needed of cannot be read.
    """
    (row,) = _read(store, [identity])
    seen = sorted(store.rows(DETECTIONS, f"tracklet = {quote(identity)}"), key=lambda other: other["time"])
    sides = [[one for one in seen if one["time"] < time], [one for one in seen if one["time"] >= time]]
    if not all(sides):
        raise UserError(f"{time:g} s: the tracklet is seen on one side of it alone; nothing to split")
    mine = f"source = {quote(row['source'])}"
    numbers = [number_of(one["id"]) for one in store.rows(TRACKLETS, mine, ["id"])]
    ids = (identity, f"{row['source']}-{max(numbers) + 1}")
    parts = []
    for part, side in zip(ids, sides, strict=True):
        within = [entry for entry in _shown(row) if side[0]["time"] <= entry["times"] <= side[-1]["time"]]
        parts.append(_summarize(row | {"id": part}, side, within or [_best(row["file"], side)]))
    store.update(DETECTIONS, f"tracklet = {quote(identity)} AND time >= {time}", tracklet=ids[1])
    _replace(store, parts, [identity])
    return ids


def delete(store: Store, persons: Iterable[str], videos: Iterable[str | Path], before: str | float | None) -> int:
    """Remove tracklets, files and what was seen before a clock time; returns how many tracklets are gone.

    Raises UserError for an id or a file that is not in the index, and for a text that is no time.
    """
    ids = list(persons)
    clock = parse_clock(before, "--before") if isinstance(before, str) else before
    with store.changing():
        store.tracklets(ids, ["id"])  # are they there?
        sources = store.source_ids(videos)
        number = store.count(TRACKLETS)
        if ids:
            store.delete({TRACKLETS: one_of("id", ids), DETECTIONS: one_of("tracklet", ids)})
        if sources:
            mine = one_of("source", sources)
            store.delete({TRACKLETS: mine, DETECTIONS: mine, SOURCES: one_of("id", sources)})
        if clock is not None:
            store.delete({TRACKLETS: f"clock_last < {clock}", DETECTIONS: f"clock < {clock}"})
        return number - store.count(TRACKLETS)


def _read(store: Store, ids: Sequence[str]) -> list[Row]:
    """Tracklets in this order. Raises UserError."""
    rows = store.tracklets(ids)
    sources = sorted({row["source"] for row in rows})
    if sources and store.count(SOURCES, f"{one_of('id', sources)} AND NOT done"):
        raise UserError("the file is not indexed to its end: finish that first")
    return rows


def _replace(store: Store, rows: Sequence[Row], ids: Sequence[str]) -> None:
    """Put rows of tracklets in the place of those of the ids."""
    store.upsert(TRACKLETS, "id", rows)
    kept = {row["id"] for row in rows}
    if gone := [identity for identity in ids if identity not in kept]:
        store.remove(TRACKLETS, one_of("id", gone))


def _summarize(row: Row, seen: Sequence[Row], shown: Sequence[Row]) -> Row:
    """A tracklet's row by its detections, and the boxes to show of it, best first."""
    times = [one["time"] for one in seen]
    clocks = [one["clock"] for one in seen if one["clock"] is not None]
    mean = np.mean([np.asarray(one["embedding"], np.float64) for one in seen], axis=0)
    return {
        **row,
        "first": min(times),
        "last": max(times),
        "clock_first": min(clocks, default=None),
        "clock_last": max(clocks, default=None),
        "frames": len(seen),
        "score": float(np.mean([one["score"] for one in seen])),
        **{name: [entry[name] for entry in shown] for name in SHOWN},
        "embedding": normalized(mean.astype(np.float32)),
    }


def _shown(row: Row) -> list[Row]:
    """The boxes that are shown of a tracklet, one by one."""
    return [dict(zip(SHOWN, values, strict=True)) for values in zip(*(row[name] for name in SHOWN), strict=True)]


def _best(file: str, seen: Sequence[Row]) -> Row:
    """The best detection, with a thumbnail from the video. Raises UserError."""
    best = max(seen, key=lambda one: quality_of(one["score"], one["box"]))
    jpeg = thumbnail(read_file_at(file, best["time"]), np.array(best["box"]))
    return {"boxes": best["box"], "times": best["time"], "box_scores": best["score"], "thumbnails": jpeg}
