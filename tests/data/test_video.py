"""Frames with their times from videos of constant and variable rate, turned ones and broken ones."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from footage import HEIGHT, START, WIDTH, render, write_walk
from spnet.data.video import VideoWriter, next_tick, read_frame, read_frames, read_info
from spnet.errors import UserError

ROTATED = {  # quarter turns clockwise, and the matrix that asks for them (ISO 14496-12, tkhd), 16.16 numbers
    1: (0, 1, -1, 0),
    2: (-1, 0, 0, -1),
    3: (0, -1, 1, 0),
}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_walk(tmp_path_factory.mktemp("videos") / "walk.mp4")


def write_variable(file: Path, times: list[float]) -> Path:
    """A video whose frames stand at these seconds."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(render(time), "rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def turn(file: Path, quarters: int) -> None:
    """Make an MP4 say that it is to be turned."""
    data = bytearray(file.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes
    a, b, c, d = (value * 65536 for value in ROTATED[quarters])
    for offset, value in zip((0, 4, 12, 16), (a, b, c, d), strict=True):
        data[place + offset : place + offset + 4] = value.to_bytes(4, "big", signed=True)
    file.write_bytes(data)


def difference(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_frames_are_those_written(walk: Path) -> None:
    frames = list(read_frames(walk, None))
    assert [frame.time for frame in frames] == pytest.approx([row / 10 for row in range(40)])
    for frame in frames[::13]:
        assert frame.pixels.shape == (HEIGHT, WIDTH, 3)
        assert difference(frame.pixels, render(frame.time)) < 20


@pytest.mark.parametrize("fps", [1, 3, 5, 7.5, 10, 100])
def test_about_so_many_a_second(walk: Path, fps: float) -> None:
    """The first frame at or after each tick, each frame once."""
    written = [row / 10 for row in range(40)]
    expected = sorted({min(t for t in written if t >= k / fps - 1e-6) for k in range(int(4 * fps)) if k / fps <= 3.9})
    assert [frame.time for frame in read_frames(walk, fps)] == pytest.approx(expected)


@pytest.mark.parametrize("fps", [3.0, 5.0, None])
def test_reading_goes_on_where_it_stopped(walk: Path, fps: float | None) -> None:
    frames = list(read_frames(walk, fps))
    for number in range(0, len(frames), 5):
        rest = list(read_frames(walk, fps, next_tick(frames[number].time, fps)))
        assert [frame.time for frame in rest] == [frame.time for frame in frames[number + 1 :]]
        for one, other in zip(rest, frames[number + 1 :], strict=True):
            assert np.array_equal(one.pixels, other.pixels)


def test_variable_frame_rate(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.9, 0.95, 1.5, 3.0, 3.01]
    file = write_variable(tmp_path / "variable.mkv", times)
    assert [frame.time for frame in read_frames(file, None)] == pytest.approx(times, abs=2e-3)
    assert [frame.time for frame in read_frames(file, 2)] == pytest.approx([0, 0.9, 1.5, 3.0], abs=2e-3)


@pytest.mark.parametrize("quarters", ROTATED)
def test_turned_as_players_do(quarters: int, tmp_path: Path) -> None:
    """A phone held upright writes a wide video and says how to turn it; here by quarters clockwise."""
    file = write_walk(tmp_path / "phone.mp4", seconds=0.3)
    turn(file, quarters)
    frame = next(read_frames(file, None))
    upright = np.rot90(render(0), -quarters)
    assert frame.pixels.shape == upright.shape
    assert difference(frame.pixels, upright) < 20


def test_one_frame(walk: Path) -> None:
    assert read_frame(walk, 1.25).time == pytest.approx(1.3)
    with pytest.raises(UserError, match=r"walk\.mp4 has no frame at or after 9 s"):
        read_frame(walk, 9.0)


def test_what_the_header_says(walk: Path, tmp_path: Path) -> None:
    info = read_info(walk)
    assert info.duration == pytest.approx(4.0, abs=0.11)
    assert info.created == START
    assert read_info(write_walk(tmp_path / "no_clock.mp4", 0.3, start=None)).created is None


def test_what_goes_wrong_before_the_first_frame_is_raised(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="gone"), VideoWriter(tmp_path / "none.mp4", 10):
        raise UserError("gone")


def test_odd_sides_lose_a_row(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", 10) as writer:
        writer.write(np.zeros((65, 97, 3), np.uint8))
    assert read_frame(tmp_path / "odd.mp4", 0).pixels.shape == (64, 96, 3)


def test_files_that_are_none(walk: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(walk.read_bytes()[:2000])
    for name in ("text.mp4", "empty.mp4", "cut.mp4", "missing.mp4"):
        with pytest.raises(UserError, match=rf"{name} cannot be read: ") as raised:
            list(read_frames(tmp_path / name, 5))
        assert "\n" not in str(raised.value)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UserError, match="there is no video stream in it"):
        read_info(tmp_path / "sound.mp4")


def test_damage_in_the_middle_costs_a_part_alone(walk: Path, tmp_path: Path) -> None:
    data = bytearray(walk.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    (tmp_path / "hurt.mp4").write_bytes(data)
    assert 5 < len(list(read_frames(tmp_path / "hurt.mp4", None))) <= 40
