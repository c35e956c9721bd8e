"""What the page asks for, from the purpose to the exports."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import httpx
import pytest
from PIL import Image

from footage import render
from serving import Served, serve
from spnet import Gallery
from spnet.app.exports import as_csv
from spnet.app.jobs import Job, Jobs
from spnet.app.server import delete_older
from spnet.errors import UserError
from spnet.gallery.schema import DETECTIONS, TRACKLETS


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.origin, headers={"Origin": served.origin}, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def source(client: httpx.Client) -> str:
    return str(client.get("/api/state").json()["sources"][0]["id"])


@pytest.fixture
def own(indexed: Path, tmp_path: Path) -> Gallery:
    """A copy of the index."""
    return Gallery.open(shutil.copytree(indexed / "index", tmp_path / "own"))


def person(client: httpx.Client, source: str) -> dict[str, Any]:
    """A query by a click."""
    found = client.get(f"/api/sources/{source}/people", params={"time": 1.03}).json()
    assert found["time"] == pytest.approx(1.0)
    return {"source": source, "time": found["time"], **{k: found["people"][0][k] for k in ("box", "tracklet")}}


def search(client: httpx.Client, query: dict[str, Any], **limits: Any) -> dict[str, Any]:
    answer = client.post("/api/searches", json={"queries": [query], "limits": limits})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def wait(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    while job["state"] == "running":
        sleep(0.1)
        job = next(other for other in client.get("/api/jobs").json() if other["id"] == job["id"])
    return job


def test_nothing_is_searched_without_a_purpose(indexed: Path, tmp_path: Path) -> None:
    index = shutil.copytree(indexed / "index", tmp_path / "index")
    for app in serve(index, indexed / "videos"):
        with httpx.Client(base_url=app.origin, headers={"Origin": app.origin}) as client:
            assert client.get("/api/state").status_code == 403
            assert "What is this index searched for?" in client.get("/").text
            assert client.post("/api/purpose", json={"text": " a "}).status_code == 400
            assert client.post("/api/purpose", json={"text": "<b>a lost</b>  child"}).status_code == 200
            assert "&lt;b&gt;a lost&lt;/b&gt; child" in client.get("/").text
    assert Gallery.open(index).store.about()["purpose"] == "<b>a lost</b> child"


def test_a_click_finds_the_tracklet_itself_first(client: httpx.Client, source: str) -> None:
    query = person(client, source)
    found = search(client, query)
    first = found["hits"][0]
    assert first["id"] == query["tracklet"]
    assert first["similarity"] == pytest.approx(1, abs=1e-2)
    assert first["source"] == source
    image = client.get(f"/api/searches/{found['id']}/thumbnails/1/0")
    assert Image.open(BytesIO(image.content)).format == "JPEG"
    assert sum(len(lane["bars"]) for lane in found["lanes"]) == len(found["hits"])
    boxed = search(client, {name: query[name] for name in ("source", "time", "box")})  # by the network
    assert boxed["hits"][0]["similarity"] > 0.5


def test_filters(client: httpx.Client, source: str) -> None:
    query = person(client, source)
    assert {hit["camera"] for hit in search(client, query, cameras=["gate"])["hits"]} == {"gate"}
    assert all(hit["last"] >= 3 for hit in search(client, query, first="0:03")["hits"])
    assert all(hit["similarity"] >= 0.9 for hit in search(client, query, min_similarity=0.9)["hits"])
    wrong = client.post("/api/searches", json={"queries": [query], "limits": {"first": "never"}})
    assert (wrong.status_code, "no time" in wrong.json()["error"]) == (400, True)


def test_marks_rank_again(client: httpx.Client, source: str) -> None:
    found = search(client, person(client, source))
    last = found["hits"][-1]
    marked = client.post(f"/api/searches/{found['id']}/marks", json={"right": [last["id"]]}).json()
    again = next(hit for hit in marked["hits"] if hit["id"] == last["id"])
    assert again["similarity"] > last["similarity"]
    assert marked["marks"] == {"right": [last["id"]], "wrong": []}
    undone = client.post(f"/api/searches/{marked['id']}/marks", json={}).json()
    assert [hit["similarity"] for hit in undone["hits"]] == [hit["similarity"] for hit in found["hits"]]


def test_a_part_of_a_video(client: httpx.Client, source: str, served: Served) -> None:
    whole = (served.videos / "0.mp4").read_bytes()
    part = client.get(f"/api/sources/{source}/media", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, whole[100:200], "video/mp4")
    assert client.get(f"/api/sources/{source}/media", headers={"Range": f"bytes={10**9}-"}).status_code == 416


def test_an_upload_stays_in_memory(client: httpx.Client, served: Served) -> None:
    stream = BytesIO()
    Image.fromarray(render(1.0)).save(stream, "PNG")
    upload = client.post("/api/uploads", content=stream.getvalue()).json()
    people = served.state.gallery.people(render(1.0))
    assert (upload["width"], upload["height"], len(upload["people"])) == (96, 64, len(people.boxes))
    found = search(client, {"upload": upload["id"], "box": upload["people"][0]["box"]})
    assert found["hits"]
    assert client.get(f"/api/uploads/{upload['id']}/image").headers["content-type"] == "image/jpeg"
    assert not any(served.state.exports.rglob("*.png"))


def test_exports_and_the_log(client: httpx.Client, source: str, served: Served) -> None:
    found = search(client, person(client, source))
    base = f"/api/searches/{found['id']}"
    table = client.post(f"{base}/csv", json={"ranks": [1, 2]}).text.splitlines()
    assert len(table) == 3
    clips = wait(client, client.post(f"{base}/clips", json={"ranks": [1], "blur": True}).json())
    assert clips["state"] == "done", clips
    archive = zipfile.ZipFile(BytesIO(client.get(f"/api/jobs/{clips['id']}/file").content))
    assert [name.rpartition(".")[2] for name in archive.namelist()] == ["mp4", "csv"]
    report = wait(client, client.post(f"{base}/report", json={}).json())
    page = client.get(f"/api/jobs/{report['id']}/file")
    assert page.headers["content-disposition"].startswith("attachment")
    assert "<img src=x" not in page.text  # the camera's name is text
    again = wait(client, client.post(f"{base}/second-look").json())
    assert again["state"] == "done", again
    assert client.get(f"/api/searches/{again['search']}").json()["hits"]
    lines = [json.loads(line) for line in (served.index / "log.jsonl").read_text().splitlines()]
    assert {line["purpose"] for line in lines} == {"testing the page"}
    assert [line["action"] for line in lines][-5:] == [
        "search", "export csv", "export clips", "export report", "second look",
    ]  # fmt: skip


def test_another_source(client: httpx.Client, served: Served, tmp_path: Path) -> None:
    Image.fromarray(render(2.0, seed=9)).save(tmp_path / "still.png")
    job = wait(client, client.post("/api/index", json={"path": str(tmp_path), "camera": "yard"}).json())
    assert (job["state"], job["message"]) == ("done", "1 files, 1 images")
    assert "yard" in client.get("/api/state").json()["cameras"]
    missing = wait(client, client.post("/api/index", json={"path": "nowhere"}).json())
    assert (missing["state"], "no such file" in missing["message"]) == ("failed", True)


def test_work_stops() -> None:
    jobs, begun = Jobs(), Event()

    def work(job: Job) -> None:
        while True:
            begun.set()
            job.report(1, 2)
            sleep(0.01)

    job = jobs.start("forever", work)
    begun.wait(10)
    job.stop()
    jobs.close()
    assert (job.state, job.as_record()["done"]) == ("stopped", 1)


def test_split_and_merge(own: Gallery) -> None:
    row = max(own.store.rows(TRACKLETS), key=lambda row: row["frames"])
    middle = own.tracklet_path(row["id"])[row["frames"] // 2][0]
    first, second = own.split(row["id"], middle)
    parts = {part["id"]: part for part in own.store.rows(TRACKLETS) if part["id"] in (first, second)}
    assert parts[first]["last"] < middle == parts[second]["first"]
    assert parts[first]["frames"] + parts[second]["frames"] == row["frames"]
    assert all(part["thumbnails"] for part in parts.values())
    assert own.store.count(DETECTIONS, f"tracklet = '{second}'") == parts[second]["frames"]
    assert own.merge([first, second]) == row["id"]
    (merged,) = [other for other in own.store.rows(TRACKLETS) if other["id"] in (first, second)]
    for name in ("id", "first", "last", "clock_first", "clock_last", "frames"):
        assert merged[name] == row[name]
    assert merged["embedding"] == pytest.approx(row["embedding"], abs=2e-3)


def test_what_cannot_be_corrected(own: Gallery) -> None:
    rows = own.store.rows(TRACKLETS)
    one = rows[0]
    with pytest.raises(UserError, match="nothing to split"):
        own.split(one["id"], one["first"])
    with pytest.raises(UserError, match="two tracklets"):
        own.merge([one["id"]])
    with pytest.raises(UserError, match="none of this id"):
        own.merge([one["id"], "nobody"])
    with pytest.raises(UserError, match="several files"):
        own.merge([one["id"], next(row["id"] for row in rows if row["source"] != one["source"])])
    seen = own.store.rows(DETECTIONS, f"tracklet = '{one['id']}'")[0]
    where = f"source = '{one['source']}' AND time = {seen['time']} AND tracklet != '{one['id']}'"
    beside = own.store.rows(DETECTIONS, where)[0]
    with pytest.raises(UserError, match="at the same time"):
        own.merge([one["id"], beside["tracklet"]])


def test_retention(own: Gallery) -> None:
    number = own.store.count(TRACKLETS)  # all seen in 2026-05
    assert delete_older(own, "9999w") == 0
    assert delete_older(own, "1h") == number
    with pytest.raises(UserError, match="30d"):
        delete_older(own, "soon")


def test_a_spreadsheet_runs_no_formula(own: Gallery) -> None:
    from dataclasses import replace

    hit = own.search(own.embeddings([own.store.rows(TRACKLETS)[0]["id"]])[0], top=1).hits[0]
    assert "'=HYPERLINK" in as_csv([replace(hit, camera='=HYPERLINK("http://evil.example")')])
