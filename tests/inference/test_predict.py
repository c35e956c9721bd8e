"""`Searcher.predict`: every kind of source gives frames with their people, one after the other."""

import socket
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import rtsp
from footage import HEIGHT, INFERENCE, WIDTH, render, write_walk
from miniature import make_network
from spnet import ImageDetections, Prediction, Searcher
from spnet.data import video as video_module
from spnet.data.video import Frame, read_frames
from spnet.errors import UserError
from spnet.inference.frames import Source, list_sources
from spnet.inference.images import ImageLike
from spnet.inference.searcher import AHEAD


@pytest.fixture(scope="module")
def searcher() -> Searcher:
    return Searcher(make_network(inference=INFERENCE), batch_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, one of another size a level down, and a video; not to be changed."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "more").mkdir()
    for name, seed in (("a.png", 0), ("b.png", 1), ("more/c.png", 2)):
        Image.fromarray(render(0, seed)).save(folder / name)
    Image.fromarray(render(0, 2)).resize((WIDTH, 2 * HEIGHT)).save(folder / "more" / "c.png")
    write_walk(folder / "more" / "gate.mp4", seconds=1)
    (folder / "notes.txt").write_text("not an image")
    return folder


def check_people(frame: Prediction) -> None:
    height, width, _ = frame.pixels.shape
    assert 0 < len(frame.boxes) == len(frame.scores) == len(frame.embeddings)
    assert (frame.boxes >= 0).all()
    assert (frame.boxes <= torch.tensor([width, height] * 2) + 1e-3).all()


def test_images_of_every_kind_are_what_detect_finds(searcher: Searcher, folder: Path) -> None:
    file = folder / "a.png"
    (expected,) = searcher.detect([file])
    pixels = render(0, 0)
    kinds: list[ImageLike] = [str(file), file, Image.open(file), pixels, torch.from_numpy(pixels).permute(2, 0, 1)]
    alone = [frame for kind in kinds for frame in searcher.predict(kind)]
    together = list(searcher.predict(kinds))
    assert len(alone) == len(together) == 5
    for frame in (*alone, *together):
        check_people(frame)
        assert frame.time == 0
        assert np.array_equal(frame.pixels, pixels)
        for name, value in vars(expected).items():
            torch.testing.assert_close(getattr(frame, name), value, atol=1e-4, rtol=1e-4)
    assert [frame.file for frame in together] == [str(file), str(file), None, None, None]


def test_folders_patterns_and_lists(searcher: Searcher, folder: Path) -> None:
    frames = list(searcher.predict(folder, fps=5))
    images, video = ["a.png", "b.png", "more/c.png"], "more/gate.mp4"
    assert [frame.file for frame in frames] == [str(folder / name) for name in (*images, *[video] * 5)]
    assert [frame.time for frame in frames] == pytest.approx([0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8])
    assert frames[2].pixels.shape == (2 * HEIGHT, WIDTH, 3)
    for frame in frames:
        check_people(frame)
    pattern = [frame.file for frame in searcher.predict(f"{folder}/*.png")]
    assert pattern == [frame.file for frame in searcher.predict([folder / "a.png", folder / "b.png"])]
    assert len(pattern) == 2
    assert list(searcher.predict([])) == []


def test_all_frames_of_a_video_and_few_of_them_in_memory(
    searcher: Searcher, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decoded ahead, what the network looks at, and what was handed over last: five batches and a frame."""
    decoded: list[weakref.ref[npt.NDArray[np.uint8]]] = []

    def watched(path: str | Path, fps: float | None, *span: float | None) -> Iterator[Frame]:
        assert span == (0.0, None)
        for frame in read_frames(path, fps):
            decoded.append(weakref.ref(frame.pixels))
            yield frame

    monkeypatch.setattr("spnet.data.sources.read_frames", watched)
    times, most = [], 0
    for frame in searcher.predict(write_walk(folder.parent / "long.mp4", seconds=6)):
        times.append(frame.time)
        most = max(most, sum(pixels() is not None for pixels in decoded))
    assert times == pytest.approx([number / 10 for number in range(60)])
    assert most <= (AHEAD + 2) * searcher.batch_size + 1


def test_who_stops_early_leaves_no_thread(searcher: Searcher, folder: Path) -> None:
    before = threading.active_count()
    frames = searcher.predict(folder)
    next(frames)
    frames.close()  # type: ignore[attr-defined]  # it is a generator
    assert threading.active_count() == before


class Slow(Searcher):
    """A network that takes its time."""

    def detect(self, images: Sequence[ImageLike]) -> list[ImageDetections]:
        time.sleep(0.4)
        return super().detect(images)


def test_a_live_stream(searcher: Searcher, folder: Path) -> None:
    """RTSP over TCP; frames are dropped while the network works, the last one stays."""
    with rtsp.serve(folder / "more" / "gate.mp4", seconds=0.3) as address:
        frames = list(Slow(searcher.network).predict(address))
    assert 1 <= len(frames) < 7  # of nine or ten
    times = [frame.time for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] >= 0.8 - 1e-6  # where MPEG-TS breaks off, the end of its last frame is missing
    assert {frame.file for frame in frames} == {address}
    for frame in frames:
        check_people(frame)


def test_an_address_of_a_file_is_read_whole(searcher: Searcher, folder: Path) -> None:
    address = f"file://{folder / 'more' / 'gate.mp4'}"
    assert [frame.time for frame in searcher.predict(address, fps=5)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_names_that_stand_for_nothing_are_refused_at_once(searcher: Searcher, folder: Path, tmp_path: Path) -> None:
    cases: list[tuple[Source, str]] = [
        (folder / "none.png", r"none\.png: no such file, folder or pattern"),
        ([folder / "a.png", f"{folder}/*.gif"], r"\*\.gif: no such file"),
        (tmp_path, "there are no images and no videos in it"),
        (folder / "notes.txt", r"notes\.txt: neither an image nor a video"),
    ]
    for source, message in cases:
        with pytest.raises(UserError, match=message):
            searcher.predict(source)
    for fps in (0, -1, 5000):
        with pytest.raises(UserError, match="must be above 0 and at most 1000"):
            searcher.predict(folder, fps=fps)


def test_what_cannot_be_read_is_raised_in_its_place(searcher: Searcher, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("no image")
    sources = [folder / "a.png", tmp_path / "b.png", folder / "b.png"]
    frames = searcher.predict(sources)
    assert next(frames).file == str(folder / "a.png")
    with pytest.raises(UserError, match=r"b\.png cannot be read: no known image format"):
        next(frames)
    with pytest.raises(UserError, match=r"an image of shape \(64, 96\)"):
        next(searcher.predict(render(0)[..., 0]))
    with pytest.raises(UserError, match="type list_iterator"):
        next(searcher.predict(iter([])))  # type: ignore[arg-type]  # a user's mistake


def test_what_cannot_be_read_is_handed_over_and_stops_nothing(searcher: Searcher, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("no image")
    (tmp_path / "c.mp4").write_text("no video")
    errors: list[UserError] = []
    frames = list(searcher.predict([tmp_path, folder / "b.png"], on_error=errors.append))
    assert [frame.file for frame in frames] == [str(folder / "b.png")]
    assert [str(error).partition(" cannot be read")[0] for error in errors] == [
        f"image {tmp_path / 'b.png'}",
        f"video {tmp_path / 'c.mp4'}",
    ]


def test_a_camera_that_is_not_there(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line without the password, whether nobody listens or nobody answers."""
    monkeypatch.setattr(video_module, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"rtsp://user:secret@127.0.0.1:{silent.getsockname()[1]}/gate"
        with pytest.raises(UserError, match=r"video rtsp://127.* cannot be read: no answer in 0\.3 seconds"):
            next(searcher.predict(address))
    with pytest.raises(UserError, match=r"video rtsp://127.* cannot be read: ") as refused:
        next(searcher.predict(address))
    assert "secret" not in str(refused.value)


def test_sources_are_listed_in_their_order(folder: Path) -> None:
    pixels = render(0)
    sources: list[ImageLike] = [folder / "b.png", pixels, str(folder / "a.png"), "rtsp://camera/1"]
    assert list_sources(sources) == [folder / "b.png", pixels, folder / "a.png", "rtsp://camera/1"]
