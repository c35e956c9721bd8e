"""Chunks of files, and an index made of them by a Ray cluster: row for row that of one machine."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footage import render, write_walk
from spnet import Gallery
from spnet.cli.main import main
from spnet.data.video import read_frames
from spnet.errors import UserError
from spnet.gallery import ray_detector
from spnet.gallery.frames import Batch, Chunk, Detector
from spnet.gallery.indexer import Progress
from spnet.gallery.schema import DETECTIONS, TRACKLETS
from spnet.gallery.sources import make_source
from spnet.models.spnet import SPNet


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos, seven images, and files that cannot be read."""
    folder = tmp_path_factory.mktemp("sources")
    for number in range(2):
        write_walk(folder / f"{number}.mp4", 4, seed=number)
    for number in range(7):
        Image.fromarray(render(0.4 * number, seed=number)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_text("no image")
    (folder / "broken.mp4").write_bytes((folder / "0.mp4").read_bytes()[:3000])
    return folder


@pytest.fixture(scope="module")
def whole(sources: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """The index that one machine makes."""
    gallery = Gallery.open(tmp_path_factory.mktemp("gallery") / "index", weights, create=True)
    gallery.add(sources, fps=5)
    return gallery


def contents(gallery: Gallery) -> dict[str, list[str]]:
    """All rows, but for the parts they were written in and the thumbnails kept for open tracks."""
    rows = {name: gallery.store.rows(name) for name in (TRACKLETS, DETECTIONS)}
    return {
        name: sorted(str([row[key] for key in row if key not in ("part", "thumbnail")]) for row in rows[name])
        for name in rows
    }


@contextmanager
def in_process(address: str, network: SPNet, device: str | None, batch_size: int) -> Iterator[Detector]:
    """What `ray_detector` makes, its actor called here."""

    def run(chunks: Sequence[Chunk]) -> Iterator[list[Batch]]:
        actor = ray_detector.ChunkDetector(network, chunks, device, batch_size)
        for row in range(len(chunks)):
            (found,) = actor({"id": np.array([row])})["batches"]
            yield ray_detector.unpack(found)

    yield partial(ray_detector.detect_split, run, 8)


@pytest.mark.parametrize("fps", [3.0, 5.0, None])
@pytest.mark.parametrize("begin", [0.0, 2.0])
def test_chunks_have_the_frames_of_the_whole(fps: float | None, begin: float, sources: Path) -> None:
    source = make_source(sources / "0.mp4", fps, None, None, True)
    parts = ray_detector.split(Chunk([source], begin), 4)
    assert len(parts) >= 2
    frames = [frame for part in parts for frame in read_frames(sources / "0.mp4", fps, part.begin, part.end)]
    expected = list(read_frames(sources / "0.mp4", fps, begin))
    assert [frame.time for frame in frames] == [frame.time for frame in expected]
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(frames, expected, strict=True))


def test_chunks_of_images(sources: Path) -> None:
    images = [make_source(sources / f"{number}.png", 5, None, None, True) for number in range(7)]
    parts = ray_detector.split(Chunk(images), 3)
    assert [len(part.sources) for part in parts] == [3, 3, 1]
    assert [source for part in parts for source in part.sources] == images


def check_index(gallery: Gallery, sources: Path, whole: Gallery) -> None:
    """Index, stopped and gone on with; compare it to that of one machine."""

    def stop(progress: Progress) -> None:
        if progress.frames >= 18:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.add(sources, fps=5, ray="local", commit_seconds=0, progress=stop)
    again = Gallery.open(gallery.uri)
    report = again.add(sources, fps=5, ray="local")
    assert [Path(line.split(" cannot")[0]).name for line in report.unreadable] == ["broken.mp4", "broken.jpg"]
    assert report.frames < 47
    assert contents(again) == contents(whole)
    assert [(row.file, row.frames, row.done) for row in again.sources()] == [
        (row.file, row.frames, row.done) for row in whole.sources()
    ]


def test_an_index_of_chunks_is_that_of_one_machine(
    sources: Path, whole: Gallery, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_detector, "ray_detector", in_process)
    check_index(Gallery.open(tmp_path / "index", weights, create=True), sources, whole)


def test_a_video_that_ends_in_an_error_ends_there(sources: Path) -> None:
    """What later chunks still found is dropped, and the next file has its own."""
    videos = [make_source(sources / f"{number}.mp4", 5, None, None, True) for number in range(2)]

    def run(chunks: Sequence[Chunk]) -> Iterator[list[Batch]]:
        return iter([[Batch([], [f"{part.sources[0].file} {part.begin:g}"])] for part in chunks])

    found = ray_detector.detect_split(run, 10, [Chunk([video]) for video in videos])
    assert [next(batches).unreadable for batches in found] == [[f"{video.file} 0"] for video in videos]


@pytest.mark.full
def test_an_index_of_a_ray_cluster_is_that_of_one_machine(
    sources: Path, whole: Gallery, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two actors on a local cluster; a chunk is eight frames, so that both have many."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        monkeypatch.setattr(ray_detector, "ray_detector", partial(ray_detector.ray_detector, frames=8))
        check_index(Gallery.open(tmp_path / "index", weights, create=True), sources, whole)
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1:9", "Connection refused"),
        ("nonsense", "Invalid address format: nonsense"),
    ],
)
def test_no_cluster_is_one_line_and_writes_nothing(
    address: str, reason: str, sources: Path, weights: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.raises(UserError, match=f"^--ray {address}: {reason}; `local` starts a cluster on this machine$"):
        Gallery.open(tmp_path / "index", weights, create=True).add(sources, ray=address)
    assert not (tmp_path / "index").exists()


def test_ray_is_named_where_it_is_missing(
    sources: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["index", str(sources), "--weights", str(weights), "--index", str(tmp_path / "i"), "--ray", "local"]
    assert main(command) == 2
    assert "ray is not installed: pip install 'spnet[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()
