"""The pixels of a file that a person names: of an image turned upright, of a video frame by frame or at a time."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footage import write_walk
from spnet.data.sources import read_file, read_file_at
from spnet.data.video import read_frames
from spnet.errors import UserError

ORIENTATION, LEFT_SIDE_DOWN = 0x0112, 6


def test_an_image_is_one_frame_turned_upright(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = LEFT_SIDE_DOWN
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    (frame,) = read_file(tmp_path / "a.png", fps=5)
    assert frame.time == 0
    assert np.array_equal(frame.pixels, np.rot90(pixels, -1))
    assert np.array_equal(read_file_at(tmp_path / "a.png", 3.0), frame.pixels)


def test_a_video_frame_by_frame_or_at_a_time(tmp_path: Path) -> None:
    file = write_walk(tmp_path / "a.mp4", seconds=1)
    expected = list(read_frames(file, 5, 0.2, 0.7))
    found = list(read_file(file, 5, 0.2, 0.7))
    assert [frame.time for frame in found] == [frame.time for frame in expected] != []
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(found, expected, strict=True))
    everything = list(read_frames(file, None))
    later = next(frame for frame in everything if frame.time >= 0.45)
    assert np.array_equal(read_file_at(file, 0.45), later.pixels)
    assert not np.array_equal(later.pixels, everything[0].pixels)


@pytest.mark.parametrize("name", ["none.png", "none.mp4"])
def test_what_is_missing_is_named(name: str, tmp_path: Path) -> None:
    for read in (lambda: list(read_file(tmp_path / name)), lambda: read_file_at(tmp_path / name, 0.0)):
        with pytest.raises(UserError, match=name):
            read()
