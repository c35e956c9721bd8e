"""The requests of the page: its state, searches, tracklets, jobs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, Response

from spnet.app import exports
from spnet.app.requests import (
    At,
    Export,
    Identity,
    Marks,
    NewSource,
    Purpose,
    SearchRequest,
    Tracklets,
    as_query,
    read_image,
)
from spnet.app.state import AppState, Search
from spnet.gallery.page import time_line
from spnet.gallery.results import Hit
from spnet.gallery.schema import DETECTIONS, TRACKLETS, SourceRow


def state_of(request: Request) -> AppState:
    """The app's state."""
    state: AppState = request.app.state.spnet
    return state


def with_purpose(request: Request) -> AppState:
    """The app's state; nothing is searched or shown before there is a purpose."""
    state = state_of(request)
    if state.purpose is None:
        raise HTTPException(403, "say first what this index is searched for")
    return state


Open = Annotated[AppState, Depends(state_of)]
State = Annotated[AppState, Depends(with_purpose)]
Item = TypeVar("Item")
api = APIRouter(prefix="/api")


@api.post("/purpose")
def set_purpose(state: Open, body: Purpose) -> dict[str, str | None]:
    """Keep what the index is searched for."""
    state.set_purpose(body.text)
    return {"purpose": state.purpose}


@api.get("/state")
def get_state(state: State) -> dict[str, Any]:
    """The files of the index, and what is kept about it."""
    with state.lock:
        store, sources = state.gallery.store, state.gallery.sources()
        return {
            "index": state.gallery.uri,
            "sources": [as_source(source) for source in sources],
            "cameras": sorted({source.camera for source in sources}),
            "tracklets": store.count(TRACKLETS),
            "detections": store.count(DETECTIONS),
            "calibrated": state.gallery.calibration is not None,
            "may_add": state.may_add,
            "retention": state.retention,
            "logged": state.log_file is not None,
        }


@api.post("/searches")
def search(state: State, body: SearchRequest) -> dict[str, Any]:
    """Find a person."""
    limits = body.limits
    with state.lock:
        wanted = [as_query(state, query) for query in body.queries]
        result = state.gallery.search(wanted, limits.top, limits.as_filter(), limits.min_similarity)
        images = [read_image(state, query) for query in body.queries]
    state.log(
        "search",
        queries=[query.model_dump(exclude_none=True) for query in body.queries],
        limits=limits.model_dump(exclude_defaults=True),
        hits=len(result.hits),
    )
    return keep(state, Search(result, images))


@api.get("/searches/{identity}")
def get_search(state: State, identity: Identity) -> dict[str, Any]:
    """The hits of a search again."""
    return as_search(identity, find_search(state, identity))


@api.post("/searches/{identity}/marks")
def mark(state: State, identity: Identity, body: Marks) -> dict[str, Any]:
    """Search again with all marks."""
    found = find_search(state, identity)
    unmarked = replace(found.result, right=frozenset(), wrong=frozenset())
    with state.lock:
        result = state.gallery.feedback(unmarked, body.right, body.wrong)
    state.log("search", marks=body.model_dump(), hits=len(result.hits))
    return keep(state, replace(found, result=result))


@api.get("/searches/{identity}/thumbnails/{rank}/{number}")
def thumbnail(state: State, identity: Identity, rank: int, number: int) -> Response:
    """A small image of a hit."""
    hits = find_search(state, identity).result.hits
    if not 1 <= rank <= len(hits) or not 0 <= number < len(hits[rank - 1].thumbnails):
        raise HTTPException(404, "no such image")
    return Response(hits[rank - 1].thumbnails[number], media_type="image/jpeg")


@api.post("/searches/{identity}/csv")
def export_csv(state: State, identity: Identity, body: Export) -> Response:
    """The hits as a table."""
    result = exports.choose(find_search(state, identity).result, body.ranks)
    state.log("export csv", hits=[hit.id for hit in result.hits])
    headers = {"Content-Disposition": 'attachment; filename="hits.csv"'}
    return Response(exports.as_csv(result.hits), media_type="text/csv; charset=utf-8", headers=headers)


@api.post("/searches/{identity}/clips")
def export_clips(state: State, identity: Identity, body: Export) -> dict[str, Any]:
    """Start to cut clips."""
    result = exports.choose(find_search(state, identity).result, body.ranks)
    state.log("export clips", hits=[hit.id for hit in result.hits], blur=body.blur)
    job = state.jobs.start("Clips", lambda job: exports.write_clips_zip(state, result, body.blur, job))
    return job.as_record()


@api.post("/searches/{identity}/report")
def export_report(state: State, identity: Identity, body: Export) -> dict[str, Any]:
    """Start to write the page of a search."""
    found = find_search(state, identity)
    result = exports.choose(found.result, body.ranks)
    state.log("export report", hits=[hit.id for hit in result.hits])
    return state.jobs.start("Report", lambda job: exports.write_report(state, found, result, job)).as_record()


@api.post("/searches/{identity}/second-look")
def second_look(state: State, identity: Identity) -> dict[str, Any]:
    """Start to search the filter's images again."""
    found = find_search(state, identity)
    state.log("second look")
    return state.jobs.start("Second look", lambda job: exports.look_again(state, found, job)).as_record()


@api.get("/tracklets/{identity}/path")
def path(state: State, identity: Identity) -> dict[str, Any]:
    """Where a tracklet's person is at which time."""
    with state.lock:
        state.gallery.embeddings([identity])  # is it there?
        seen = state.gallery.tracklet_path(identity)
    return {"times": [time for time, _ in seen], "boxes": [[round(float(x), 1) for x in box] for _, box in seen]}


@api.post("/tracklets/merge")
def merge(state: State, body: Tracklets) -> dict[str, Any]:
    """Make one tracklet of several."""
    with state.lock:
        kept = state.gallery.merge(body.ids)
    state.log("merge", tracklets=body.ids, kept=kept)
    return {"id": kept}


@api.post("/tracklets/{identity}/split")
def split(state: State, identity: Identity, body: At) -> dict[str, Any]:
    """Make two tracklets of one."""
    with state.lock:
        parts = state.gallery.split(identity, body.time)
    state.log("split", tracklet=identity, parts=parts)
    return {"ids": parts}


@api.post("/tracklets/delete")
def delete(state: State, body: Tracklets) -> dict[str, int]:
    """Remove tracklets for good."""
    with state.lock:
        gone = state.gallery.delete(persons=body.ids)
    state.log("delete", tracklets=body.ids)
    return {"deleted": gone}


@api.post("/index")
def index(state: State, body: NewSource) -> dict[str, Any]:
    """Start to index a file or folder of this machine."""
    if not state.may_add:
        raise HTTPException(403, "files are added by `spnet index` where others reach this page")
    state.log("index", path=body.path)
    camera = body.camera.strip() or None
    title = f"Indexing {Path(body.path).name}"
    return state.jobs.start(title, lambda job: exports.add_source(state, body.path, camera, body.fps, job)).as_record()


@api.get("/jobs")
def jobs(state: State) -> list[dict[str, Any]]:
    """All work, newest first."""
    return [job.as_record() for job in state.jobs.all()]


@api.post("/jobs/{identity}/stop")
def stop(state: State, identity: Identity) -> dict[str, Any]:
    """End a piece of work."""
    job = existing(state.jobs.get(identity), "no such work")
    job.stop()
    return job.as_record()


@api.get("/jobs/{identity}/file")
def job_file(state: State, identity: Identity) -> FileResponse:
    """What a piece of work has written."""
    job = existing(state.jobs.get(identity), "no such work")
    if job.file is None or job.state != "done":
        raise HTTPException(404, "no file yet")
    return FileResponse(job.file, filename=job.file.name, content_disposition_type="attachment")


def existing(item: Item | None, otherwise: str) -> Item:
    """What was asked for. Raises HTTPException where it is not there (any more)."""
    if item is None:
        raise HTTPException(404, otherwise)
    return item


def find_search(state: AppState, identity: str) -> Search:
    """A search of this page. Raises HTTPException."""
    return existing(state.searches.get(identity), "this search is forgotten by now: search again")


def keep(state: AppState, found: Search) -> dict[str, Any]:
    """Keep a search and return it as the page has it."""
    return as_search(state.searches.add(found), found)


def as_search(identity: str, found: Search) -> dict[str, Any]:
    """A search as the page has it."""
    result = found.result
    hits = [as_hit(rank, hit) for rank, hit in enumerate(result.hits, 1)]
    marks = {"right": sorted(result.right), "wrong": sorted(result.wrong)}
    return {"id": identity, "hits": hits, "calibrated": result.calibrated, "marks": marks, **time_line(result.hits)}


def as_hit(rank: int, hit: Hit) -> dict[str, Any]:
    """A hit as the page has it."""
    record = hit.as_record()
    source = hit.id.rpartition("@" if hit.found_by == "second look" else "-")[0]
    name, thumbnails = Path(hit.file).name, len(hit.thumbnails)
    return {**record, "rank": rank, "source": source, "name": name, "place": hit.place, "thumbnails": thumbnails}


def as_source(source: SourceRow) -> dict[str, Any]:
    """A file as the page has it."""
    shown = ("id", "kind", "camera", "start", "fps", "duration", "frames", "done", "width", "height")
    return {"name": Path(source.file).name, **{name: getattr(source, name) for name in shown}}
