"""The demo's last part: everyone in two rendered videos is searched for, as `spnet index` and `spnet search` do it.

OUTPUT/data/walk       the videos of two cameras that the same people pass
OUTPUT/people.index    everyone in them, found by the network of OUTPUT/weights.safetensors
OUTPUT/search.html     where one of them was seen
"""

from pathlib import Path

import numpy as np

from spnet.files import atomic_directory
from spnet.gallery.gallery import Gallery
from spnet.gallery.page import write_search_page
from spnet.gallery.query import one_person
from spnet.gallery.results import Filter, Hit
from spnet.gallery.tracklets import buffered_iou
from spnet.synthetic.walk import Sighting, read_walk

FPS = 5.0  # frames a second that are looked at
IOU = 0.5  # of a hit's box with the person's
PACKAGES = ("lancedb", "av")  # that index and video need


def index_walk(walk: Path, weights: Path, index: Path) -> None:
    """Index both videos of a walk into the new folder `index`."""
    with atomic_directory(index) as folder:
        Gallery.open(folder, weights, create=True).add(walk, fps=FPS)


def search_walk(walk: Path, index: Path, page: Path) -> dict[str, int]:
    """Search the other camera for each person of a walk, and everything for the first one, which makes the page.

    Returns how many people there are, and how many the best hit in the other camera shows.
    """
    gallery, sightings = Gallery.open(index), read_walk(walk)
    queries = [largest_first_view(sightings, person) for person in sorted({seen.person for seen in sightings})]
    found = 0
    for query in queries:
        others = Filter([camera for camera in gallery.cameras() if camera != query.camera])
        hits = gallery.search([_frame(walk, query)], top=1, where=others).hits
        found += any(shows(hit, query.person, sightings) for hit in hits)
    shown = _frame(walk, queries[0])
    result = gallery.search([shown], top=12)
    write_search_page(page, result, [one_person(shown, gallery.people)], str(index))
    return {"found": found, "people": len(queries)}


def largest_first_view(sightings: list[Sighting], person: int) -> Sighting:
    """The sighting of a person with the largest box, in the camera that the person passes first."""
    mine = [seen for seen in sightings if seen.person == person]
    camera = min(mine, key=lambda seen: seen.time).camera
    return max((seen for seen in mine if seen.camera == camera), key=lambda seen: _area(seen.box))


def shows(hit: Hit, person: int, sightings: list[Sighting]) -> bool:
    """Whether the best box of a hit is the person's."""
    time = hit.times[0]
    boxes = [
        seen.box
        for seen in sightings
        if seen.person == person and seen.camera == hit.camera and abs(seen.time - time) < 0.05
    ]
    overlap = buffered_iou(hit.boxes[:1], np.array(boxes, np.float32).reshape(-1, 4), 0.0)
    return bool((overlap >= IOU).any())


def _frame(walk: Path, seen: Sighting) -> tuple[str, tuple[int, int, int, int]]:
    return f"{walk / seen.camera}.mp4@{seen.time}", seen.box


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
