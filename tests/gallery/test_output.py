"""What a search writes: a page, clips, and detections of files."""

from pathlib import Path

import numpy as np
import pytest

from footage import HEIGHT, WIDTH, render
from spnet import Gallery
from spnet.data.video import read_frames
from spnet.errors import UserError
from spnet.gallery.clips import interpolate, mark, write_clips
from spnet.gallery.detect import detect_files
from spnet.gallery.page import time_line, write_search_page


@pytest.fixture(scope="module")
def gallery(weights: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    opened = Gallery.open(tmp_path_factory.mktemp("gallery") / "index", weights, create=True)
    opened.add(video, fps=5)
    return opened


def test_a_page_is_one_file_that_asks_for_nothing(gallery: Gallery, tmp_path: Path) -> None:
    result = gallery.search(np.ones(8, np.float32), 5)
    write_search_page(tmp_path / "hits.html", result, [(render(0), [4, 12, 20, 56])], "people.index")
    page = (tmp_path / "hits.html").read_text()
    for hit in result.hits:
        assert hit.id in page
        assert f"{hit.similarity:.3f}" in page
        assert hit.clock in page
    assert page.count("<rect") == len(result)
    assert page.count("uncalibrated") >= len(result)
    for outside in ("<script", 'src="http', 'href="http', "url("):
        assert outside not in page


def test_names_are_text(gallery: Gallery, weights: Path, video: Path, tmp_path: Path) -> None:
    other = Gallery.open(tmp_path / "index", weights, create=True)
    other.add(video, fps=1, camera="<script>alert('x')</script>")
    write_search_page(tmp_path / "hits.html", other.search(np.ones(8, np.float32), 5), [], "people.index")
    assert "<script" not in (tmp_path / "hits.html").read_text()
    assert len(other.search(np.ones(8, np.float32), 5)) > 0


def test_lanes_cover_the_hits(gallery: Gallery) -> None:
    hits = gallery.search(np.ones(8, np.float32), 5).hits
    lanes = time_line(hits)["lanes"]
    bars = [bar for lane in lanes for bar in lane["bars"]]
    assert sorted(bar["rank"] for bar in bars) == list(range(1, len(hits) + 1))
    assert min(bar["left"] for bar in bars) == 0
    assert max(bar["left"] + bar["width"] for bar in bars) == pytest.approx(100, abs=0.1)
    assert time_line([])["lanes"] == []


def test_clips_show_the_person_and_nobody_else(gallery: Gallery, tmp_path: Path) -> None:
    (hit, *_) = gallery.search(np.ones(8, np.float32), 1).hits
    (clip,) = write_clips(tmp_path / "clips", [hit], gallery.path, blur=True)
    frames = list(read_frames(clip, None))
    length = min(hit.last + 1, 3.9) - max(0, hit.first - 1)
    assert len(frames) == pytest.approx(10 * length, abs=4)
    with pytest.raises(UserError, match="already exists"):
        write_clips(tmp_path / "clips", [hit], gallery.path, blur=False)
    with pytest.raises(UserError, match="no hit is in a video"):
        write_clips(tmp_path / "others", [], gallery.path, blur=False)


def test_everything_but_the_box_is_blurred() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    box = np.array([20, 10, 50, 60], np.float32)
    shown = mark(pixels, box, blur=True)
    assert np.array_equal(shown[14:56, 24:46], pixels[14:56, 24:46])
    assert shown[:, 60:].std() < 0.5 * pixels[:, 60:].std()
    nobody = mark(pixels, None, blur=True)
    assert nobody[14:56, 24:46].std() < 0.5 * pixels[14:56, 24:46].std()
    assert np.array_equal(mark(pixels, None, blur=False), pixels)


def test_boxes_between_frames() -> None:
    path = [(1.0, np.array([0, 0, 10, 10], np.float32)), (2.0, np.array([10, 0, 20, 30], np.float32))]
    between = interpolate(path, 1.5)
    assert between is not None
    assert between.tolist() == [5, 0, 15, 20]
    assert interpolate(path, 0.9) is None
    assert interpolate(path, 2.1) is None
    assert interpolate([], 1.0) is None


def test_detections_of_files(gallery: Gallery, video: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_text("no video")
    images, people, unreadable = detect_files(
        gallery.searcher, [video, tmp_path / "broken.mp4"], tmp_path / "out", fps=2.0
    )
    assert (images, len(unreadable)) == (8, 1)
    lines = (tmp_path / "out" / "detections.csv").read_text().splitlines()
    assert len(lines) == people + 1
    assert lines[0] == "file,time,left,top,right,bottom,score"
    assert len(list(read_frames(tmp_path / "out" / "0000_gate.mp4", None))) == 8
