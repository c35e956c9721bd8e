"""Two videos of the same people, one after the other past two cameras."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from spnet.data.video import VideoWriter, read_frames, read_info
from spnet.errors import UserError
from spnet.synthetic.scenario import SIZE
from spnet.synthetic.walk import CAMERAS, FPS, START, prepare_walk, read_walk


def render(folder: Path) -> list[str]:
    """Make the videos; returns a digest of each frame, before x264 has it, which is not the same each time."""
    digests: list[str] = []
    write = VideoWriter.write

    def keep(self: VideoWriter, pixels: npt.NDArray[np.uint8]) -> None:
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
        write(self, pixels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VideoWriter, "write", keep)
        prepare_walk(folder, seconds=10, people=3, seed=1)
    return digests


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("videos") / "walk"
    return folder, render(folder)


@pytest.fixture(scope="module")
def walk(rendered: tuple[Path, list[str]]) -> Path:
    return rendered[0]


def test_both_cameras_share_a_clock(walk: Path) -> None:
    for name in CAMERAS:
        file = walk / f"{name}.mp4"
        frames = list(read_frames(file, None))
        assert len(frames) == 10 * FPS
        assert frames[0].pixels.shape == (SIZE[1], SIZE[0], 3)
        assert read_info(file).created == START


def test_everybody_passes_both_one_after_the_other(walk: Path) -> None:
    sightings = read_walk(walk)
    times: dict[tuple[int, str], list[float]] = {(seen.person, seen.camera): [] for seen in sightings}
    for seen in sightings:
        times[seen.person, seen.camera].append(seen.time)
        left, top, right, bottom = seen.box
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < bottom <= SIZE[1]
    assert set(times) == {(person, camera) for person in range(3) for camera in CAMERAS}
    for person in range(3):
        one, other = sorted((times[person, camera] for camera in CAMERAS), key=min)
        assert max(one) < min(other)
        assert len(one) >= 5


def test_the_same_arguments_give_the_same_frames(rendered: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, digests = rendered
    assert len(digests) == len(CAMERAS) * 10 * FPS
    assert render(tmp_path / "again") == digests
    assert (tmp_path / "again" / "people.csv").read_bytes() == (folder / "people.csv").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seconds": 5}, "--seconds 5: must be"), ({"people": 0}, "--people 0: must be"), ({"seed": -1}, "--seed -1: it")],
)
def test_what_is_no_walk(options: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        prepare_walk(tmp_path / "walk", **options)
    assert not (tmp_path / "walk").exists()
