"""The page of a search: hits by camera, cropped and in their scene, with a time line; one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from spnet.data.sources import read_file_at
from spnet.errors import UserError
from spnet.files import write_bytes
from spnet.gallery.query import Box
from spnet.gallery.results import Hit, SearchResult
from spnet.gallery.thumbnails import thumbnail
from spnet.gallery.times import show_clock, show_place
from spnet.reports.images import BoxOverlay, Region, SceneImage, data_uri, encode_jpeg
from spnet.reports.render import TEMPLATES

SCENE_SIDE = 560  # pixels, longer side
FAINTEST = 0.35


@dataclass(frozen=True)
class Entry:
    """A hit as the page shows it."""

    rank: int
    hit: Hit
    crops: Sequence[str]  # data URIs
    scene: Markup  # empty where the file cannot be read any more


def write_search_page(
    path: Path, result: SearchResult, queries: Sequence[tuple[npt.NDArray[np.uint8], Box]], index: str
) -> None:
    """Write the page. `queries` are images (H, W, 3) with the person's box. Raises UserError."""
    cameras: dict[str, list[Entry]] = {}
    for rank, hit in enumerate(result.hits, 1):
        cameras.setdefault(hit.camera, []).append(Entry(rank, hit, list(map(data_uri, hit.thumbnails)), _scene(hit)))
    page = TEMPLATES.get_template("search.html").render(
        title="Person search",
        lead=f"{len(result.hits)} hits in {len(cameras)} cameras, most similar first.",
        cameras=cameras,
        calibrated=result.calibrated,
        queries=[data_uri(thumbnail(pixels, np.asarray(box, np.float64))) for pixels, box in queries],
        facts={"index": index, "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"},
        **time_line(result.hits),
    )
    write_bytes(path, page.encode())


def time_line(hits: Sequence[Hit]) -> dict[str, Any]:
    """Lanes of bars in percent: a lane a camera by the clock if every hit has one, else a lane a file by its place."""
    clock = bool(hits) and all(hit.clock_first is not None for hit in hits)
    spans = [_span(hit, clock) for hit in hits]
    begin, end = (min(first for first, _ in spans), max(last for _, last in spans)) if spans else (0.0, 0.0)
    length = end - begin
    lanes: dict[str, list[dict[str, Any]]] = {}
    least, most = (min(hit.similarity for hit in hits), max(hit.similarity for hit in hits)) if hits else (0, 0)
    for (first, last), (rank, hit) in zip(spans, enumerate(hits, 1), strict=True):
        share = (hit.similarity - least) / (most - least) if most > least else 1.0
        bar = {
            "rank": rank,
            "left": round(100 * (first - begin) / length, 2) if length else 0,
            "width": round(100 * (last - first) / length, 2) if length else 100,
            "opacity": round(FAINTEST + (1 - FAINTEST) * share, 2),
            "title": f"{hit.clock or hit.place}, similarity {hit.similarity:.3f}",
        }
        lanes.setdefault(hit.camera if clock else Path(hit.file).name, []).append(bar)
    show = show_clock if clock else show_place
    return {
        # the most similar last, which lies over those it overlaps
        "lanes": [{"name": name, "bars": bars[::-1]} for name, bars in lanes.items()] if length else [],
        "axis": "clock time, UTC" if clock else "places in the videos",
        "begin": show(begin),
        "end": show(end),
    }


def _span(hit: Hit, clock: bool) -> tuple[float, float]:
    if clock and hit.clock_first is not None and hit.clock_last is not None:
        return hit.clock_first, hit.clock_last
    return hit.first, hit.last


def _scene(hit: Hit) -> Markup:
    """The whole image of the best box; nothing where the file has gone."""
    try:
        pixels = read_file_at(hit.file, hit.times[0])
    except UserError:
        return Markup()
    height, width, _ = pixels.shape
    overlay = BoxOverlay(hit.boxes[0], "query", f"similarity {hit.similarity:.3f}")
    image = SceneImage(hit.file, Region(0, 0, width, height), data_uri(encode_jpeg(pixels, SCENE_SIDE)), [overlay])
    macros: Any = TEMPLATES.get_template("macros.html").module
    return Markup(macros.scene_image(image, f"the scene of {hit.id}"))
