"""SIGKILL while indexing: what was acknowledged stays, the index opens, and going on completes it without doubles."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from footage import write_walk
from spnet import Gallery
from spnet.gallery.schema import DETECTIONS, SOURCES, TRACKLETS

CODE = """
import sys
import torch
from spnet import Gallery
torch.set_num_threads(1)
def tell(progress):
    print(progress.frames, flush=True)
gallery = Gallery.open(sys.argv[1], sys.argv[2], create=True, batch_size=1)
gallery.add(sys.argv[3], fps=10, commit_seconds=0, progress=tell)
print("done", flush=True)
"""


def rows(gallery: Gallery) -> list[list[str]]:
    names = {TRACKLETS: ("id", "first", "last", "frames", "embedding"), DETECTIONS: ("tracklet", "time", "embedding")}
    return [sorted(str([row[key] for key in keys]) for row in gallery.store.rows(name)) for name, keys in names.items()]


def run_and_kill(python: str, index: Path, weights: Path, videos: Path, after: float) -> bool:
    """Index in another process and kill it a random while after its first frame; returns whether it ended before."""
    command = [python, "-c", CODE, str(index), str(weights), str(videos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        return "done" in process.stdout.read()


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=[pytest.mark.full, pytest.mark.timeout(7200)])])
def test_killed_while_indexing(kills: int, weights: Path, preloaded: str, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(2):
        write_walk(videos / f"{number}.mp4", 4, seed=number)
    whole = Gallery.open(tmp_path / "whole", weights, create=True)
    whole.add(videos, fps=10)
    moments, index, times = random.Random(0), tmp_path / "0", 0
    for kill in range(kills):
        if run_and_kill(preloaded, index, weights, videos, moments.uniform(0, 0.4)):
            index = tmp_path / str(kill + 1)  # it was finished: begin another one
            continue
        times += 1
        if not (index / f"{SOURCES}.lance").is_dir():
            continue
        gallery = Gallery.open(index)
        acknowledged = {source.id: source for source in gallery.sources()}
        for source in acknowledged.values():
            kept = gallery.store.rows(DETECTIONS, f"source = '{source.id}' AND part < {source.parts}", ["time"])
            assert len({row["time"] for row in kept}) == source.frames
        report = Gallery.open(index)
        assert set(acknowledged) <= {source.id for source in report.sources()}
    assert times > 0
    finished = Gallery.open(index, weights, create=True)
    finished.add(videos, fps=10)
    assert rows(finished) == rows(whole)
