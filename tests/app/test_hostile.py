"""Requests that no page of ours sends: each is refused, and nothing of the machine is in the answer."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from zlib import crc32

import pytest

from serving import Served, serve
from spnet import Gallery
from spnet.app.guard import Access
from spnet.app.state import decode_upload
from spnet.errors import UserError

SECRET = b"nobody may read this"
Request = tuple[str, str, Mapping[str, str], bytes]


def ask(port: int, request: Request) -> tuple[int, bytes, Mapping[str, str]]:
    """Send a request as it is, without any tidying of its path."""
    method, path, headers, body = request
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in ({"Host": f"127.0.0.1:{port}"} | dict(headers)).items():
        connection.putheader(name, value.replace("PORT", str(port)))
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    with suppress(BrokenPipeError, ConnectionResetError):  # refused before the end of the body
        connection.send(body)
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def get(path: str, **headers: str) -> Request:
    return "GET", path, {name.replace("_", "-"): value for name, value in headers.items()}, b""


def post(path: str, body: bytes = b"{}", **headers: str) -> Request:
    own = {"Origin": "http://127.0.0.1:PORT", "Content-Type": "application/json"}
    return "POST", path, own | {name.replace("_", "-"): value for name, value in headers.items()}, body


HOSTILE: dict[str, tuple[Request, int]] = {
    "parent folders": (get("/static/../../../../etc/passwd"), 400),
    "encoded dots": (get("/static/%2e%2e/%2e%2e/server.py"), 400),
    "encoded slashes": (get("/static/..%2f..%2fserver.py"), 400),
    "twice encoded": (get("/static/%252e%252e%252fserver.py"), 400),
    "overlong dots": (get("/static/%c0%ae%c0%ae/server.py"), 400),
    "backslashes": (get("/static/..\\..\\server.py"), 400),
    "null byte": (get("/static/app.js%00.css"), 400),
    "absolute path": (get("/static//etc/passwd"), 400),
    "a source by its path": (get("/api/sources//etc/passwd/media"), 400),
    "a source by its encoded path": (get("/api/sources/%2Fetc%2Fpasswd/media"), 400),
    "a hidden file": (get("/static/.lock"), 400),
    "the log": (get("/log.jsonl"), 404),
    "the index": (get("/index/about.lance"), 404),
    "a template": (get("/templates/app.html"), 404),
    "the interface's description": (get("/openapi.json"), 404),
    "a source there is not": (get("/api/sources/0123456789abcdef/media"), 404),
    "SQL in an id": (get("/api/tracklets/x'%20OR%201=1/path"), 400),
    "another name": (get("/", Host="evil.example:PORT"), 421),
    "a name that begins like ours": (get("/", Host="127.0.0.1.evil.example:PORT"), 421),
    "a name with ours as its user": (get("/", Host="127.0.0.1:PORT@evil.example"), 421),
    "another port": (get("/", Host="127.0.0.1:1"), 421),
    "no name": (get("/", Host=""), 421),
    "a foreign origin reads": (get("/api/state", Origin="http://evil.example"), 403),
    "no origin": (get("/api/state", Origin="null"), 403),
    "a foreign origin writes": (post("/api/purpose", b'{"text": "taken over"}', Origin="http://evil.example"), 403),
    "our origin on another port": (post("/api/purpose", Origin="http://127.0.0.1:1"), 403),
    "our origin by https": (post("/api/purpose", Origin="https://127.0.0.1:PORT"), 403),
    "a form without origin": (("POST", "/api/purpose", {"Content-Type": "text/plain"}, b'{"text": "a form"}'), 403),
    "an image tag elsewhere": (get("/api/state", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors"), 403),
    "a page of another port": (get("/api/state", Sec_Fetch_Site="same-site"), 403),
    "many ranges": (get("/static/app.js", Range="bytes=0-1,2-3,4-5,6-7"), 416),
    "a range of words": (get("/static/app.js", Range="bytes=zero-one"), 416),
    "a huge range": (get("/static/app.js", Range=f"bytes={'9' * 40}-"), 416),
    "another unit": (get("/static/app.js", Range="lines=0-1"), 416),
    "a body said to be too long": (post("/api/uploads", b"x", Content_Length=str(10**12)), 413),
    "a body that is too long": (post("/api/searches", b'{"queries": "' + b"x" * 2**18 + b'"}'), 413),
    "a body in pieces that is too long": (
        post(
            "/api/searches", (b"20000\r\n" + b"x" * 0x20000 + b"\r\n") * 2 + b"0\r\n\r\n", Transfer_Encoding="chunked"
        ),
        413,
    ),
    "no image": (post("/api/uploads", b"<svg onload=alert(1)>"), 400),
    "markup as an id": (post("/api/searches", b'{"queries": [{"tracklet": "<script>", "box": [0,0,1,1]}]}'), 422),
    "not a number": (post("/api/searches", b'{"queries": [{"source": "a", "box": [NaN,0,1,1]}]}'), 422),
    "too many queries": (
        post("/api/searches", b'{"queries": [' + b",".join([b'{"box": [0,0,1,1]}'] * 99) + b"]}"),
        422,
    ),
    "a long query": (get(f"/?{'x' * 3000}"), 414),
    "another method": (("DELETE", "/api/state", {"Origin": "http://127.0.0.1:PORT"}, b""), 405),
    "a trace": (("TRACE", "/", {}, b""), 405),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused(name: str, served: Served) -> None:
    request, expected = HOSTILE[name]
    status, body, headers = ask(served.port, request)
    assert status == expected
    assert len(body) < 300
    assert b"root:" not in body
    assert str(served.index).encode() not in body
    assert headers["x-content-type-options"] == "nosniff"


def test_they_are_forty_and_changed_nothing(served: Served) -> None:
    assert len(HOSTILE) >= 40
    assert served.state.gallery.store.about()["purpose"] == "testing the page"
    assert ask(served.port, get("/"))[0] == 200


def test_nothing_is_allowed_to_run_but_our_own(served: Served) -> None:
    _, page, headers = ask(served.port, get("/"))
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert b"<script>" not in page
    assert b" style=" not in page
    assert b"://" not in page  # nothing from elsewhere


def test_a_token_is_needed(locked: Served) -> None:
    port, token = locked.port, "0123456789abcdef"
    assert [ask(port, get(path))[0] for path in ("/", "/api/state", "/static/app.js", "/?token=0123")] == [401] * 4
    assert ask(port, get("/api/state", Authorization=f"Bearer {token}"))[0] == 200
    status, _, headers = ask(port, get(f"/?token={token}"))
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=strict" in headers["set-cookie"]
    assert ask(port, get("/api/state", Cookie=headers["set-cookie"].split(";")[0]))[0] == 200


@pytest.mark.parametrize(("host", "token"), [("0.0.0.0", None), ("10.0.0.7", None), ("0.0.0.0", "short"), ("::", "")])
def test_others_need_a_good_token(host: str, token: str | None) -> None:
    with pytest.raises(UserError, match="--token"):
        Access(host, 8765, token)


def test_names_of_an_open_server() -> None:
    access = Access("0.0.0.0", 8765, "0123456789abcdef")
    assert access.knows("192.168.0.7:8765")  # an address cannot be rebound
    assert not access.knows("rebound.example:8765")
    assert Access("localhost", 80).knows("localhost")
    assert Access("::1", 8765).knows("[::1]:8765")


@pytest.fixture
def replaceable(indexed: Path, tmp_path: Path, weights: Path) -> Iterator[Served]:
    """An app over a video that the test may replace."""
    video = Path(shutil.copy(indexed / "videos" / "0.mp4", tmp_path / "own.mp4"))
    Gallery.open(tmp_path / "index", weights, create=True).add(video, fps=2)
    for app in serve(tmp_path / "index", tmp_path):
        app.state.set_purpose("testing the page")
        yield app


def test_a_link_in_the_place_of_a_video_serves_nothing(replaceable: Served, tmp_path: Path) -> None:
    (source,) = replaceable.state.gallery.sources()
    addresses = [f"/api/sources/{source.id}/{what}" for what in ("media", "frame")]
    assert [ask(replaceable.port, get(address))[0] for address in addresses] == [200, 200]
    (tmp_path / "secret.txt").write_bytes(SECRET)
    os.remove(source.file)
    os.symlink(tmp_path / "secret.txt", source.file)
    for address in addresses:
        status, body, _ = ask(replaceable.port, get(address))
        assert status == 400
        assert SECRET not in body


def test_a_decompression_bomb_is_refused() -> None:
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x02\x00\x00\x00"
    with pytest.raises(UserError, match=r"million pixels|no image"):
        decode_upload(header + crc32(header[12:]).to_bytes(4, "big"))
