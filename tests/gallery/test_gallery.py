"""An index from start to end: added to, searched, marked, looked through again, deleted from."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from footage import INFERENCE, START, bytes_on_disk, render, write_walk
from miniature import make_network
from spnet import Filter, Gallery
from spnet.errors import UserError
from spnet.files import exclusive_lock
from spnet.gallery.indexer import Progress
from spnet.gallery.lance import as_arrow
from spnet.gallery.page import write_search_page
from spnet.gallery.query import rocchio
from spnet.gallery.schema import DETECTIONS, SOURCES, TRACKLETS
from spnet.gallery.store import Store
from spnet.gallery.times import Moment
from spnet.models.checkpoints import save_weights


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("yard")
    for number in range(5):
        Image.fromarray(render(0.5 * number, seed=number)).save(folder / f"{number}.png")
    (folder / "broken.jpg").write_text("no image")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture(scope="module")
def index(stills: Path, video: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of stills and a video; not to be changed."""
    folder = tmp_path_factory.mktemp("gallery") / "index"
    report = Gallery.open(folder, weights, create=True).add(stills, video, fps=5)
    assert (report.files, report.frames, report.already) == (6, 25, 0)
    assert [line.split(": ")[0] for line in report.unreadable] == [f"image {stills / 'broken.jpg'} cannot be read"]
    return folder


@pytest.fixture
def own(index: Path, tmp_path: Path) -> Gallery:
    """A copy of it."""
    return Gallery.open(shutil.copytree(index, tmp_path / "own"))


def contents(gallery: Gallery) -> dict[str, list[str]]:
    """All rows of the tables, but for what depends on the parts they were written in."""
    without = ("part", "thumbnail")
    return {
        name: sorted(str([row[key] for key in row if key not in without]) for row in gallery.store.rows(name))
        for name in (TRACKLETS, DETECTIONS)
    }


def test_what_is_there(index: Path, stills: Path, video: Path) -> None:
    gallery = Gallery.open(index)
    assert gallery.cameras() == ["gate", stills.name]
    sources = {Path(source.file).name: source for source in gallery.sources()}
    assert sources["gate.mp4"].frames == 20
    assert sources["gate.mp4"].start == START
    assert all(source.done for source in sources.values())
    people = [len(found.boxes) for found in gallery.searcher.detect([stills / f"{number}.png" for number in range(5)])]
    assert gallery.store.count(TRACKLETS, f"camera = '{stills.name}'") == sum(people)
    assert gallery.store.count(DETECTIONS, "time = 0.0") >= sum(people)
    assert {row["fingerprint"] for row in gallery.store.rows(TRACKLETS)} == {gallery.fingerprint}
    lengths = np.linalg.norm([row["embedding"] for row in gallery.store.rows(TRACKLETS)], axis=1)
    assert lengths == pytest.approx(1, abs=1e-2)


def test_search_ranks_as_a_naive_one(index: Path, stills: Path) -> None:
    gallery = Gallery.open(index)
    box = gallery.people(stills / "2.png").boxes[0]
    result = gallery.search((stills / "2.png", box), top=1000)
    rows = gallery.store.rows(TRACKLETS)
    cosines = {row["id"]: float(np.dot(row["embedding"], result.query)) for row in rows}
    assert [hit.id for hit in result.hits] == sorted(cosines, key=lambda key: -cosines[key])
    for hit in result.hits:
        assert hit.similarity == pytest.approx(cosines[hit.id], abs=2e-3)
        assert hit.probability is None
    assert result.hits[0].similarity == pytest.approx(1, abs=2e-3)
    assert result.hits[0].file == str(stills / "2.png")
    assert np.allclose(result.hits[0].boxes[0], box)
    assert not result.calibrated
    assert len(gallery.search((stills / "2.png", box), top=3)) == 3


def test_several_queries_are_one_mean(index: Path, stills: Path) -> None:
    gallery = Gallery.open(index)
    queries = [(stills / f"{number}.png", [4 + 4.0 * number, 12, 20 + 4.0 * number, 56]) for number in (0, 1)]
    one, other = (gallery.embed(query) for query in queries)
    fused = gallery.search(list(queries)).query
    assert np.allclose(fused, (one + other) / np.linalg.norm(one + other), atol=1e-6)
    assert np.allclose(gallery.search(3 * one).query, one, atol=1e-6)


def test_filters(index: Path, stills: Path, video: Path) -> None:
    gallery = Gallery.open(index)
    direction = np.ones(8, np.float32)

    def ids(**where: Any) -> set[str]:
        return {hit.id for hit in gallery.search(direction, 1000, replace(Filter(), **where)).hits}

    rows = gallery.store.rows(TRACKLETS)
    assert ids(cameras=["gate"]) == {row["id"] for row in rows if row["camera"] == "gate"}
    assert ids(files=[video]) == ids(cameras=["gate"])
    late = {row["id"] for row in rows if row["last"] >= 2 and row["first"] <= 3}
    assert ids(first=Moment(2, False), last=Moment(3, False)) == late
    by_clock = ids(first=Moment(START + 2, True), last=Moment(START + 3, True))
    assert by_clock == {row["id"] for row in rows if row["id"] in late and row["camera"] == "gate"}
    for where, message in (
        ({"cameras": ["roof"]}, "--camera roof: the index has gate, yard"),
        ({"files": ["x"]}, "x: not"),
    ):
        with pytest.raises(UserError, match=message):
            ids(**where)


def test_least_similarity(index: Path) -> None:
    gallery = Gallery.open(index)
    everyone = gallery.search(np.ones(8, np.float32), 1000)
    limit = everyone.hits[4].similarity
    assert len(gallery.search(np.ones(8, np.float32), 1000, min_similarity=limit)) == 5
    with pytest.raises(UserError, match="--min-probability: the network is not calibrated"):
        gallery.search(np.ones(8, np.float32), min_probability=0.5)


def test_feedback(index: Path) -> None:
    gallery = Gallery.open(index)
    result = gallery.search(np.ones(8, np.float32), 30)
    right, wrong = [result.hits[4].id, result.hits[9].id], [result.hits[0].id]
    again = gallery.feedback(result, right, wrong)
    good, bad = gallery.embeddings(right), gallery.embeddings(wrong)
    expected = result.query + 0.75 * good.mean(0) - 0.25 * bad[0]
    assert np.allclose(again.direction, expected / np.linalg.norm(expected), atol=1e-6)
    assert np.array_equal(again.query, result.query)
    more = gallery.feedback(again, wrong=right[:1])
    assert more.right == frozenset(right[1:])
    assert more.wrong == frozenset([wrong[0], right[0]])
    assert np.allclose(gallery.feedback(result).direction, result.query)
    with pytest.raises(UserError, match="tracklet nobody: there is none of this id"):
        gallery.feedback(result, ["nobody"])


def test_feedback_moves_towards_the_right_ones() -> None:
    random = np.random.default_rng(0)
    query, right, wrong = (random.normal(size=size).astype(np.float32) for size in (5, (3, 5), (2, 5)))
    moved = rocchio(query, right, wrong)
    naive = [query[k] + 0.75 * sum(right[:, k]) / 3 - 0.25 * sum(wrong[:, k]) / 2 for k in range(5)]
    assert np.allclose(moved, np.array(naive) / np.linalg.norm(naive), atol=1e-6)


def test_what_is_there_is_not_done_again(own: Gallery, stills: Path, video: Path, tmp_path: Path) -> None:
    before = contents(own)
    report = own.add(stills, video, fps=5)
    assert (report.files, report.frames, report.already) == (0, 0, 6)
    copied = shutil.copy(video, tmp_path / "copy.mp4")
    assert own.add(copied).already == 1
    assert contents(own) == before
    added = own.add(write_walk(tmp_path / "new.mp4", 1, seed=9), camera="roof", start="2026-05-04T12:00")
    assert (added.files, added.frames, added.already) == (1, 5, 0)
    assert own.cameras() == ["gate", "roof", stills.name]
    assert set(before[TRACKLETS]) < set(contents(own)[TRACKLETS])


@pytest.mark.parametrize("stop_after", [1, 8, 13])
def test_an_interruption_costs_nothing(
    stop_after: int, index: Path, video: Path, weights: Path, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.frames >= stop_after:
            raise KeyboardInterrupt

    whole = Gallery.open(tmp_path / "whole", weights, create=True)
    whole.add(video, fps=5)
    gallery = Gallery.open(tmp_path / "index", weights, create=True)
    with pytest.raises(KeyboardInterrupt):
        gallery.add(video, fps=5, commit_seconds=0, progress=stop)
    again = Gallery.open(tmp_path / "index")
    report = again.add(video, fps=1)  # goes on as it began
    assert report.frames < 20 or stop_after < 8
    assert contents(again) == contents(whole)
    assert again.sources()[0].frames == 20


def test_rows_that_nobody_acknowledged_go(own: Gallery, video: Path) -> None:
    """What a killed process leaves: rows of a part that the file's row does not count."""
    before = contents(own)
    source = next(source for source in own.sources() if source.kind == "video")
    own.store.announce([replace(source, done=False, frames=20)])
    stray = own.store.rows(TRACKLETS)[0] | {"id": "stray", "source": source.id, "part": source.parts}
    own.store.table(TRACKLETS).add(as_arrow([stray], own.store.table(TRACKLETS).schema))
    assert own.store.count(TRACKLETS, "id = 'stray'") == 1
    own.add(video)
    assert contents(own) == before


def test_second_look(index: Path, stills: Path, video: Path) -> None:
    gallery = Gallery.open(index)
    gallery.searcher.network.config = replace(
        gallery.searcher.network.config, inference=replace(INFERENCE, max_detections=12)
    )
    still = (stills / "0.png", [4.0, 12, 20, 56])
    where = Filter(cameras=["gate"], first=Moment(1, False), last=Moment(2, False))
    result = gallery.search(still, 50, where)
    looked = gallery.second_look(result, [still])
    found = [hit for hit in looked.hits if hit.found_by == "second look"]
    assert found
    for hit in found:
        assert hit.camera == "gate"
        assert hit.first >= 1
        assert hit.last <= 2
        assert hit.thumbnails[0].startswith(b"\xff\xd8")
    similarities = [hit.similarity for hit in looked.hits]
    assert similarities == sorted(similarities, reverse=True)
    assert {hit.id for hit in result.hits} <= {hit.id for hit in looked.hits} or len(looked) == 50
    with pytest.raises(UserError, match="no image of the index lies within the filter"):
        gallery.second_look(replace(result, where=Filter(first=Moment(99, False))), [still])


def test_deleting_a_person_leaves_no_bytes(own: Gallery) -> None:
    folder = Path(own.uri)
    row = own.store.rows(TRACKLETS, "camera = 'gate'")[0]
    seen = own.store.rows(DETECTIONS, f"tracklet = '{row['id']}'")
    secrets = [np.array(kept["embedding"], np.float16).tobytes() for kept in [row, *seen]] + row["thumbnails"]
    assert all(bytes_on_disk(folder, secret) for secret in secrets)
    number = own.store.count(TRACKLETS)
    assert own.delete(persons=[row["id"]]) == 1
    assert [bytes_on_disk(folder, secret) for secret in secrets] == [0] * len(secrets)
    again = Gallery.open(folder)
    assert again.store.count(TRACKLETS) == number - 1
    assert again.store.count(DETECTIONS, f"tracklet = '{row['id']}'") == 0
    with pytest.raises(UserError, match="there is none of this id"):
        own.delete(persons=[row["id"]])


def test_deleting_a_video(own: Gallery, video: Path, stills: Path) -> None:
    rows = own.store.rows(TRACKLETS, "camera = 'gate'")
    assert own.delete(videos=[video]) == len(rows)
    assert own.cameras() == [stills.name]
    assert not any(bytes_on_disk(Path(own.uri), row["thumbnails"][0]) for row in rows)
    assert own.store.count(SOURCES, f"file = '{video}'") == 0
    assert own.add(video, fps=5).frames == 20
    with pytest.raises(UserError, match=r"nothing\.mp4: not in the index"):
        own.delete(videos=["nothing.mp4"])


def test_deleting_a_time(own: Gallery, video: Path) -> None:
    early = own.store.rows(TRACKLETS, f"clock_last < {START + 2}")
    kept = own.store.count(TRACKLETS) - len(early)
    own.delete(before=START + 2)
    assert own.store.count(TRACKLETS) == kept
    assert own.store.count(DETECTIONS, "time < 2 AND clock IS NOT NULL") == 0
    assert own.store.count(DETECTIONS, "clock IS NULL") > 0
    assert own.add(video, fps=5).already == 1


def test_an_index_of_another_network_is_refused(index: Path, other_weights: Path) -> None:
    with pytest.raises(UserError, match=r"made with the network \w{16}, but .* is \w{16}; their embeddings cannot"):
        Gallery.open(index, other_weights)


def test_what_cannot_be_opened(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(UserError, match="there is no index; make one with `spnet index`"):
        Gallery.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with pytest.raises(UserError, match="a new index needs weights"):
        Gallery.open(tmp_path / "nothing", create=True)
    with pytest.raises(UserError, match="no such file"):
        Gallery.open(tmp_path / "nothing", tmp_path / "none.safetensors", create=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file, not a folder"):
        Gallery.open(tmp_path / "file", weights, create=True).add(write_walk(tmp_path / "a.mp4", 0.3))


@pytest.mark.parametrize(
    ("source", "message"),
    [("none.jpg", "no such file, folder or pattern"), ("empty", "there are no images and no videos in it")],
)
def test_a_wrong_source_writes_nothing(source: str, message: str, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        Gallery.open(tmp_path / "index", weights, create=True).add(tmp_path / source)
    assert not (tmp_path / "index").exists()


def test_unreadable_videos_stop_nothing(video: Path, weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(video, folder / "c.mp4")
    (folder / "a.mp4").write_bytes(b"")
    (folder / "b.mp4").write_bytes(video.read_bytes()[:3000])
    data = bytearray(video.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    (folder / "d.mp4").write_bytes(data)  # a header, and no frame that can be decoded
    gallery = Gallery.open(tmp_path / "index", weights, create=True)
    report = gallery.add(folder, fps=1)
    assert (report.files, report.frames) == (1, 4)
    assert len(report.unreadable) == 3
    assert "no frame of it can be decoded" in report.unreadable[2]
    assert [Path(source.file).name for source in gallery.sources()] == ["c.mp4"]


def test_weights_that_have_gone(index: Path, weights: Path, stills: Path, tmp_path: Path) -> None:
    Gallery.open(shutil.copytree(index, tmp_path / "index")).store.set_about(weights=str(tmp_path / "gone.safetensors"))
    gallery = Gallery.open(tmp_path / "index")
    assert len(gallery.search(np.ones(8, np.float32))) > 0
    with pytest.raises(UserError, match="are not there any more; name them"):
        gallery.people(stills / "0.png")
    assert len(Gallery.open(tmp_path / "index", weights).people(stills / "0.png").boxes)


def test_queries_that_are_none(index: Path, stills: Path, video: Path) -> None:
    gallery = Gallery.open(index)
    for query, message in (
        ((stills / "0.png", [200, 200, 300, 300]), r"box 200 200 300 300: lies outside the image of 96 x 64 pixels"),
        ((stills / "0.png", [20, 20, 10, 30]), "must be left, top, right, bottom"),
        (stills / "1.png", "there are 3 people in the image; say where"),
        (video, r"which frame of the video\? write"),
        (f"{video}@later", "'later' is no time"),
        (f"{video}@99", "has no frame at or after 99 s"),
    ):
        with pytest.raises(UserError, match=message):
            gallery.search(query)
    with pytest.raises(UserError, match="no query is given"):
        gallery.search([])
    with pytest.raises(UserError, match="top 0: must be 1 or more"):
        gallery.search(np.ones(8, np.float32), 0)


def test_the_approximate_index_finds_nearly_the_same(own: Gallery) -> None:
    """Of 2,000 tracklets in every direction, which no cell of the index holds together."""
    rows, random = own.store.rows(TRACKLETS), np.random.default_rng(0)
    unlike = [rows[0] | {"id": f"unlike-{number}", "embedding": random.normal(size=8)} for number in range(2000)]
    own.store.table(TRACKLETS).add(as_arrow(unlike, own.store.table(TRACKLETS).schema))
    own.make_approximate()
    found = 0
    for query in random.normal(size=(50, 8)).astype(np.float32):
        exact, close = own.search(query, 10, exact=True), own.search(query, 10)
        similarity = {hit.id: hit.similarity for hit in exact.hits}
        shared = [hit for hit in close.hits if hit.id in similarity]
        assert [hit.similarity for hit in shared] == pytest.approx([similarity[hit.id] for hit in shared])
        assert own.search(query, 1).hits[0].id == close.hits[0].id  # of as many candidates
        found += len(shared)
    assert found >= 0.95 * 50 * 10
    own.delete(persons=[rows[0]["id"]])
    assert len(own.search(np.ones(8, np.float32), 5)) == 5


def test_nobody_anywhere(video: Path, tmp_path: Path) -> None:
    """A network that finds nobody makes an index that answers."""
    weights = tmp_path / "nobody.safetensors"
    save_weights(weights, make_network(inference=replace(INFERENCE, score_threshold=1.0)), "object")
    gallery = Gallery.open(tmp_path / "index", weights, create=True)
    assert gallery.add(video, fps=2).frames == 8
    result = gallery.search((video.with_name("gate.mp4@1"), [4, 12, 20, 56]))
    assert len(result) == 0
    assert gallery.cameras() == ["gate"]
    write_search_page(tmp_path / "hits.html", result, [], "index")
    assert len(result.to_pandas()) == 0
    gallery.delete(videos=[video])
    assert gallery.sources() == []


def test_a_full_disk_is_one_line_and_costs_nothing(
    own: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lance reports it as a RuntimeError; a part that was not acknowledged is gone at the next call."""
    before, file = contents(own), write_walk(tmp_path / "new.mp4", 1, seed=9)
    table = own.store.table(TRACKLETS)

    def fail(rows: object) -> None:
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), /root/lance.rs:1:2")

    with monkeypatch.context() as patch:
        patch.setattr(table, "add", fail)
        with pytest.raises(UserError, match=r"cannot be written: .*No space left on device") as raised:
            own.add(file)
    assert "lance.rs" not in str(raised.value)
    again = Gallery.open(own.uri)
    assert contents(again)[TRACKLETS] == before[TRACKLETS]
    assert again.add(file).frames == 5
    assert set(before[TRACKLETS]) < set(contents(again)[TRACKLETS])


def test_of_two_processes_one_makes_the_index(video: Path, weights: Path, tmp_path: Path) -> None:
    gallery = Gallery.open(tmp_path / "index", weights, create=True)
    with exclusive_lock(tmp_path / "index"), pytest.raises(UserError, match="index: another process is at work there"):
        gallery.add(video, fps=5)
    assert not (tmp_path / "index" / f"{TRACKLETS}.lance").exists()
    assert gallery.add(video, fps=5).frames == 20


def test_an_approximate_index_needs_embeddings_of_a_multiple_of_8_numbers(tmp_path: Path) -> None:
    store = Store.create(str(tmp_path / "index"), 12, {"fingerprint": "none"})
    with pytest.raises(UserError, match="--approximate: embeddings of 12 numbers, it takes a multiple of 8"):
        store.make_index()
