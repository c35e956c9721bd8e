"""The files of the index as the page shows them, by their id, never by a path; and uploaded images."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from spnet.app.api import State, existing
from spnet.app.requests import At, Identity, read_source
from spnet.app.state import AppState, as_people, decode_upload
from spnet.gallery.schema import SourceRow
from spnet.reports.images import encode_jpeg

media = APIRouter(prefix="/api")
MEDIA_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".mkv": "video/webm",
    ".3gp": "video/3gpp",
}  # fmt: skip
LARGEST = 1920  # pixels, longer side of a frame
Time = Annotated[float, Query(ge=0, le=1e7, allow_inf_nan=False)]


@media.get("/sources/{identity}/media")
def video(state: State, identity: Identity) -> FileResponse:
    """A video as it is, or a part of it."""
    source = find_source(state, identity)
    kind = MEDIA_TYPES.get(Path(source.file).suffix.lower()) if source.kind == "video" else None
    if kind is None:
        raise HTTPException(415, "browsers do not play this kind of file: its frames are shown")
    state.check_unchanged(source)
    return FileResponse(source.file, media_type=kind)


@media.get("/sources/{identity}/frame")
def frame(
    state: State, identity: Identity, time: Time = 0.0, side: Annotated[int, Query(ge=16, le=LARGEST)] = LARGEST
) -> Response:
    """A frame as JPEG."""
    return Response(encode_jpeg(read_source(state, find_source(state, identity), time), side), media_type="image/jpeg")


@media.get("/sources/{identity}/people")
def indexed_people(state: State, identity: Identity, time: Time = 0.0) -> dict[str, Any]:
    """The people of the indexed frame nearest to a time, and its time."""
    source = find_source(state, identity)
    around = 0.5 / (source.fps or 25.0)
    with state.lock:
        rows = state.gallery.detections(source.file, time - around, time + around)
    nearest = min((row["time"] for row in rows), key=lambda other: abs(other - time), default=time)
    shown = [row for row in rows if row["time"] == nearest]
    shown.sort(key=lambda row: row["box"][0])
    columns = [[row[name] for row in shown] for name in ("box", "score", "tracklet")]
    return {"time": nearest, "people": as_people(*columns)}


@media.post("/sources/{identity}/detect")
def detect(state: State, identity: Identity, body: At) -> dict[str, Any]:
    """Run the network on a frame."""
    return {"time": body.time, **_detect(state, read_source(state, find_source(state, identity), body.time))}


@media.post("/uploads")
async def upload(state: State, request: Request) -> dict[str, Any]:
    """Take an image as a query: kept in memory until the app ends or others come, never written, never sent on."""
    data = await request.body()
    return await run_in_threadpool(_take, state, data)


@media.get("/uploads/{identity}/image")
def uploaded(state: State, identity: Identity) -> Response:
    """An uploaded image, encoded anew."""
    pixels = existing(state.uploads.get(identity), "no such image")
    return Response(encode_jpeg(pixels, LARGEST), media_type="image/jpeg")


def find_source(state: AppState, identity: str) -> SourceRow:
    """A file of the index. Raises HTTPException."""
    return existing(state.source(identity), "no such source")


def _take(state: AppState, data: bytes) -> dict[str, Any]:
    pixels = decode_upload(data)
    height, width, _ = pixels.shape
    return {"id": state.uploads.add(pixels), "width": width, "height": height, **_detect(state, pixels)}


def _detect(state: AppState, pixels: Any) -> dict[str, Any]:
    with state.lock:
        found = state.gallery.people(pixels)
    return {"people": as_people(found.boxes.tolist(), found.scores.tolist(), [None] * len(found.scores))}
