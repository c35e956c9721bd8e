"""Hits as files: a table, a page, clips; and the work that takes long."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from secrets import token_hex
from zipfile import ZIP_STORED, ZipFile

from spnet.app.jobs import Job
from spnet.app.state import AppState, Search
from spnet.data.sources import kind_of
from spnet.errors import UserError
from spnet.gallery.clips import write_clip
from spnet.gallery.indexer import Progress
from spnet.gallery.page import write_search_page
from spnet.gallery.query import one_person
from spnet.gallery.results import Hit, SearchResult

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def as_csv(hits: Sequence[Hit]) -> str:
    """A row a hit. Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    stream = StringIO()
    records = [{**hit.as_record(), "box": " ".join(f"{side:.1f}" for side in hit.boxes[0])} for hit in hits]
    if records:
        writer = csv.DictWriter(stream, list(records[0]))
        writer.writeheader()
        writer.writerows({name: _plain(value) for name, value in record.items()} for record in records)
    return stream.getvalue()


def choose(result: SearchResult, ranks: Sequence[int]) -> SearchResult:
    """The hits of these ranks, from 1; all where none is named. Raises UserError."""
    if any(not 1 <= rank <= len(result.hits) for rank in ranks):
        raise UserError(f"there are hits 1 to {len(result.hits)}")
    return replace(result, hits=[result.hits[rank - 1] for rank in sorted(set(ranks))]) if ranks else result


def write_clips_zip(state: AppState, result: SearchResult, blur: bool, job: Job) -> None:
    """Cut the videos around the hits. Raises UserError where no hit is in a video."""
    gallery = state.open_gallery()
    hits = [hit for hit in result.hits if kind_of(Path(hit.file)) == "video"]
    if not hits:
        raise UserError("no hit is in a video")
    folder = _new_folder(state)
    names = []
    for number, hit in enumerate(hits):
        job.report(number, len(hits))
        check_hit(state, hit)
        names.append(write_clip(folder, number + 1, hit, gallery.path(hit), blur))
    job.report(len(hits), len(hits))
    with ZipFile(folder / "clips.zip", "w", ZIP_STORED) as archive:  # video does not get smaller
        for name in names:
            archive.write(folder / name, name)
            (folder / name).unlink()
        archive.writestr("hits.csv", as_csv(hits))
    job.file = folder / "clips.zip"


def write_report(state: AppState, search: Search, result: SearchResult, job: Job) -> None:
    """Write the page of the hits."""
    gallery = state.open_gallery()
    for hit in result.hits:
        job.report(0, 0)
        check_hit(state, hit)
    queries = [one_person(query, gallery.people) for query in search.queries]
    file = _new_folder(state) / "report.html"
    write_search_page(file, result, queries, gallery.uri)
    job.report(0, 0)
    job.file = file


def look_again(state: AppState, search: Search, job: Job) -> None:
    """Search the filter's images again with the queries themselves."""
    result = state.open_gallery().second_look(
        search.result, search.queries, lambda progress: job.report(progress.frames, progress.expected)
    )
    new = sum(hit.found_by == "second look" for hit in result.hits)
    job.message = f"{new} more hits" if new != 1 else "1 more hit"
    job.search = state.searches.add(replace(search, result=result))


def add_source(state: AppState, path: str, camera: str | None, fps: float, job: Job) -> None:
    """Index a file, folder or pattern."""

    def report(progress: Progress) -> None:
        job.message = Path(progress.file).name
        job.report(progress.frames, progress.expected)

    done = state.open_gallery().add(path, fps=fps, camera=camera, progress=report)
    known = f", {done.already} were there already" if done.already else ""
    failed = "".join(f"; not indexed: {line}" for line in done.unreadable)
    job.message = f"{done.files} files, {done.frames} images{known}{failed}"


def check_hit(state: AppState, hit: Hit) -> None:
    """Raise UserError unless a hit's file still holds what was indexed."""
    for source in state.gallery.sources():
        if source.file == hit.file:
            state.check_unchanged(source)


def _new_folder(state: AppState) -> Path:
    folder = state.exports / token_hex(8)
    folder.mkdir(mode=0o700)
    return folder


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_SIGNS) else value
