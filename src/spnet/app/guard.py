"""Stands before every request: refuses what does not come from the page itself, before anything is read or run.

A page of another site can make a browser send requests to this machine, by its address or by a name that is made to
stand for it (DNS rebinding). So `Host` must name this server, `Origin` must be its own, and what changes something must
say its origin. Paths are plain, bodies limited, ranges single. Every answer carries headers that keep other pages from
framing, reading or sniffing it.
"""

import ipaddress
import re
from dataclasses import dataclass
from secrets import compare_digest
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spnet.errors import UserError

LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
WILDCARDS = frozenset(("0.0.0.0", "::"))
PLAIN_PATH = re.compile(rb"(/[A-Za-z0-9_-]+(\.[a-z0-9]+)?)+|/")
ONE_RANGE = re.compile(r"bytes=(\d{1,15}-\d{0,15}|-\d{1,15})")
LONGEST_QUERY = 2000
UPLOADS = "/api/uploads"
UPLOAD_BYTES, BODY_BYTES = 20 * 2**20, 2**17
SHORTEST_TOKEN = 16
COOKIE = "spnet-token"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",  # nobody's image stays in a browser's cache
}


@dataclass(frozen=True)
class Access:
    """Who may ask: by which address, on which port, with which token (None: none is needed)."""

    host: str
    port: int
    token: str | None = None

    def __post_init__(self) -> None:
        """Raise UserError for an address that others reach without a token that is hard to guess."""
        if self.token is None and self.host not in LOOPBACK_NAMES:
            raise UserError(
                f"--host {self.host}: others could reach it; give a --token too, or leave --host out (127.0.0.1)"
            )
        if self.token is not None and not re.fullmatch(rf"[A-Za-z0-9_-]{{{SHORTEST_TOKEN},}}", self.token):
            raise UserError(f"--token: {SHORTEST_TOKEN} or more letters, digits, - and _ are needed")

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK_NAMES

    def knows(self, host: str) -> bool:
        """Whether a `Host` header names this server."""
        name, port = split_host(host)
        if name is None or port != self.port:
            return False
        if self.host in WILDCARDS:  # an address cannot be rebound, a name can
            return name in LOOPBACK_NAMES or _is_address(name)
        return name == self.host or (self.is_local and name in LOOPBACK_NAMES)


class Guard:
    """ASGI middleware that lets a request through or answers with why not."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        headers = Headers(scope=scope)
        refusal = refuse(scope, headers, self.access) or self._without_token(scope, headers)
        if refusal is None and scope["method"] == "POST":
            limit = UPLOAD_BYTES if scope["path"] == UPLOADS else BODY_BYTES
            body = await read_body(headers, receive, limit)
            refusal = _no(413, f"a body of more than {limit} bytes") if body is None else None
            receive = _replay(body or b"")
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        token = self.access.token
        if token is None:
            return None
        given = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if any(compare_digest(value.encode(), token.encode()) for value in (given, bearer)):
            return None
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and compare_digest(asked.encode(), token.encode()):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return answer
        return _no(401, "a token is needed: open /?token=... once")


def refuse(scope: Scope, headers: Headers, access: Access) -> Response | None:
    """Why a request is not let through, None if it is."""
    method, host = scope["method"], headers.get("host", "")
    if method not in ("GET", "HEAD", "POST"):
        return _no(405, "only GET, HEAD and POST")
    if len(headers.getlist("host")) != 1 or not access.knows(host):
        return _no(421, "this server goes by another name")
    if not PLAIN_PATH.fullmatch(scope.get("raw_path", scope["path"].encode()).partition(b"?")[0]):
        return _no(400, "no such path")
    if len(scope["query_string"]) > LONGEST_QUERY:
        return _no(414, "the query is too long")
    if (wanted := headers.get("range")) is not None and not ONE_RANGE.fullmatch(wanted):
        return _no(416, "one range of bytes at a time")
    origins = headers.getlist("origin")
    if any(origin != f"{scope['scheme']}://{host}" for origin in origins) or (method == "POST" and not origins):
        return _no(403, "not asked by this page")
    site = headers.get("sec-fetch-site", "none")
    is_visit = method == "GET" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not is_visit:
        return _no(403, "not asked by this page")
    return None


def split_host(host: str) -> tuple[str | None, int]:
    """Name and port of a `Host` header; no name where it is malformed."""
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?", host):
        return None, 0
    parts = urlsplit(f"//{host}")
    try:
        return parts.hostname, parts.port if parts.port is not None else 80
    except ValueError:
        return None, 0


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes | None:
    """The body of a request, None where it is longer than `limit` bytes."""
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > limit:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _no(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)
