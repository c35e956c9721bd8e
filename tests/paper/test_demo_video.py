"""What counts as found again in the rendered videos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spnet.errors import UserError
from spnet.gallery.results import Hit
from spnet.paper.demo_video import largest_first_view, shows
from spnet.synthetic.walk import Sighting, read_walk

SIGHTINGS = [
    Sighting("yard", 1.0, 0, (0, 0, 10, 20)),
    Sighting("yard", 1.1, 0, (0, 0, 20, 40)),
    Sighting("gate", 5.0, 0, (0, 0, 90, 180)),
    Sighting("gate", 5.0, 1, (200, 0, 240, 80)),
]
HIT = Hit(
    "a-0", "gate", "gate.mp4", 4.8, 5.2, None, None, 3, 0.9, 0.8, None,
    np.array([[5, 0, 90, 175]], np.float32), [5.0], [b""],
)  # fmt: skip


def test_the_query_is_the_largest_view_of_the_first_camera() -> None:
    assert largest_first_view(SIGHTINGS, 0) == SIGHTINGS[1]
    assert largest_first_view(SIGHTINGS, 1) == SIGHTINGS[3]


def test_a_hit_shows_whom_its_best_box_covers() -> None:
    assert shows(HIT, 0, SIGHTINGS)
    assert not shows(HIT, 1, SIGHTINGS)
    assert not shows(replace(HIT, camera="yard"), 0, SIGHTINGS)
    assert not shows(replace(HIT, times=[6.0]), 0, SIGHTINGS)
    assert not shows(HIT, 0, [])


@pytest.mark.parametrize("content", [None, "camera,time\nyard,1.0\n", "a\nyard,x,0,0,0,1,1\n"])
def test_a_folder_that_is_no_walk(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "people.csv").write_text(content)
    with pytest.raises(UserError, match=r"people\.csv"):
        read_walk(tmp_path)
