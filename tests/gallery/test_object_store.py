"""An index on an object store, an S3 server on this machine: added to, searched, deleted from, by one writer a time."""

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spnet import Gallery
from spnet.app.state import AppState
from spnet.cli.main import main
from spnet.errors import UserError
from spnet.gallery import claim
from spnet.gallery.indexer import Progress
from spnet.gallery.schema import DETECTIONS, TRACKLETS, WRITER

pytest.importorskip("moto", reason="moto, the S3 server, is not installed")
ANYBODY = np.ones(8, np.float32)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket, which the environment says how to reach."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "anybody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield boto3.resource("s3").create_bucket(Bucket="footage")
    server.stop()


@pytest.fixture(scope="module")
def uri(bucket: Any, video: Path, weights: Path) -> str:
    """An index of a video; not to be changed but under a claim that is given back."""
    report = Gallery.open("s3://footage/people", weights, create=True).add(video, fps=5)
    assert (report.files, report.frames) == (1, 20)
    return "s3://footage/people"


def contents(gallery: Gallery) -> list[list[str]]:
    return [sorted(str(row | {"part": 0, "thumbnail": None}) for row in gallery.store.rows(name)) for name in
            (TRACKLETS, DETECTIONS)]  # fmt: skip


def occurrences(bucket: Any, prefix: str, wanted: list[bytes]) -> list[int]:
    stored = [entry.get()["Body"].read() for entry in bucket.objects.filter(Prefix=prefix)]
    return [sum(content.count(secret) for content in stored) for secret in wanted]


def test_it_is_as_on_the_disk(uri: str, video: Path, weights: Path, tmp_path: Path) -> None:
    local = Gallery.open(tmp_path / "index", weights, create=True)
    local.add(video, fps=5)
    remote = Gallery.open(uri)
    assert contents(remote) == contents(local)
    assert remote.fingerprint == local.fingerprint
    one, other = (gallery.search(ANYBODY, 5).hits for gallery in (remote, local))
    assert [(hit.id, hit.similarity, hit.thumbnails) for hit in one] == [
        (hit.id, hit.similarity, hit.thumbnails) for hit in other
    ]
    assert one[0].thumbnails[0].startswith(b"\xff\xd8")
    assert remote.add(video, fps=5).already == 1


def test_a_failure_costs_nothing_and_what_is_deleted_is_gone(
    bucket: Any, uri: str, video: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Gallery.open("s3://footage/begun", weights, create=True)

    def fill(progress: Progress) -> None:
        if progress.frames >= 8:
            monkeypatch.setattr(begun.store.table(DETECTIONS), "add", fail)

    def fail(rows: object) -> None:
        raise RuntimeError("lance error: <Error><Code>507</Code><Message>Storage is full</Message></Error>, /root/x.rs")

    with pytest.raises(UserError, match=r"cannot be written: Storage is full; what was acknowledged is kept$"):
        begun.add(video, fps=5, commit_seconds=0, progress=fill)
    gallery = Gallery.open("s3://footage/begun")
    assert not gallery.sources()[0].done
    assert gallery.add(video, fps=5).frames == 16
    assert contents(gallery) == contents(Gallery.open(uri))
    row, number = gallery.store.rows(TRACKLETS)[0], gallery.store.count(TRACKLETS)
    secrets = [np.array(row["embedding"], np.float16).tobytes(), *row["thumbnails"]]
    assert all(occurrences(bucket, "begun", secrets))
    assert main(["delete", gallery.uri, "--person", row["id"]]) == 0
    assert occurrences(bucket, "begun", secrets) == [0] * len(secrets)
    assert Gallery.open(gallery.uri).store.count(TRACKLETS) == number - 1


def test_another_writer_is_refused(uri: str, video: Path) -> None:
    with (
        Gallery.open(uri).store.lock(),
        pytest.raises(UserError, match=rf"index {uri}: process \d+ of .* is writing there; wait"),
    ):
        Gallery.open(uri).add(video)
    assert Gallery.open(uri).add(video).already == 1


def test_a_claim_that_is_not_renewed_ends(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a killed process. One that only slept finds another's, and writes nothing."""
    monkeypatch.setattr(claim, "LASTS", -1.0)
    store = Gallery.open(uri).store
    slept = claim.Claim(store.table(WRITER), uri)
    slept.take()
    monkeypatch.undo()
    slept.renew()
    slept.check()
    with pytest.raises(UserError, match="is writing there"), Gallery.open(uri).store.lock():
        raise AssertionError("two writers")
    store.table(WRITER).update(values={"until": 0.0})
    with Gallery.open(uri).store.lock():
        slept.renew()
        monkeypatch.setattr(store, "_claim", slept)
        with pytest.raises(UserError, match="the claim of this process has ended"):
            store.set_about(purpose="something else")


def test_a_claim_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "RENEWED", 0.001)
    renewed = Event()

    def update(where: str, values: dict[str, Any]) -> SimpleNamespace:
        if where.startswith("id") and values["until"]:
            renewed.set()
        return SimpleNamespace(rows_updated=1)

    table = SimpleNamespace(update=update, optimize=lambda **_: None)
    with claim.Claim(table, "s3://footage/people").hold():
        assert renewed.wait(60)


def test_what_cannot_be_opened(uri: str, other_weights: Path, weights: Path) -> None:
    with pytest.raises(UserError, match=r"made with the network \w{16}, but .* is \w{16}"):
        Gallery.open(uri, other_weights)
    with pytest.raises(UserError, match="index s3://footage/nothing: there is no index; make one"):
        Gallery.open("s3://footage/nothing")
    with pytest.raises(
        UserError, match=r"index s3://none/people: cannot be read: The specified bucket does not exist$"
    ):
        Gallery.open("s3://none/people", weights, create=True)


def test_a_store_that_fails_while_it_is_searched(bucket: Any, uri: str) -> None:
    """The failing request is the last one, for rows: the index had been opened."""
    for entry in bucket.objects.filter(Prefix="people/"):
        bucket.Object(entry.key.replace("people", "lost", 1)).copy({"Bucket": "footage", "Key": entry.key})
    gallery = Gallery.open("s3://footage/lost")
    gallery.store.table(TRACKLETS)
    bucket.objects.filter(Prefix="lost/tracklets.lance/data").delete()
    with pytest.raises(UserError, match=r"^index s3://footage/lost: cannot be read: [^\n]+$"):
        gallery.search(ANYBODY, 5)


def test_the_purpose_is_kept_and_there_is_no_log(uri: str) -> None:
    gallery = Gallery.open(uri)
    state = AppState(gallery, lambda: gallery, may_add=False)
    state.set_purpose("looking for a lost child")
    assert Gallery.open(uri).store.about()["purpose"] == "looking for a lost child"
    assert state.log_file is None
    state.close()
