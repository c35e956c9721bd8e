"""The app: its routes behind the guard, and the server."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from spnet.app.api import api
from spnet.app.guard import Access, Guard
from spnet.app.media import media
from spnet.app.state import AppState
from spnet.errors import UserError
from spnet.gallery.gallery import Gallery

STATIC = Path(__file__).parent / "static"
TEMPLATES = Environment(loader=PackageLoader("spnet.app"), autoescape=True, undefined=StrictUndefined)
UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def create_app(state: AppState, access: Access) -> FastAPI:
    """The app over one index. Its state is closed when the server ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        state.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.spnet = state
    app.include_router(api)
    app.include_router(media)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_middleware(Guard, access=access)
    app.add_exception_handler(UserError, _say_mistake)
    app.add_exception_handler(HTTPException, _say_refusal)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_api_route("/", page, response_class=HTMLResponse)
    return app


def page(request: Request) -> str:
    """The one page; before there is a purpose, it asks for one."""
    state: AppState = request.app.state.spnet
    template = TEMPLATES.get_template("app.html" if state.purpose else "purpose.html")
    return template.render(
        index=Path(state.gallery.uri).name,
        purpose=state.purpose,
        retention=state.retention,
        logged=state.log_file is not None,
        may_add=state.may_add,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises UserError."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"--host {host} --port {port}: {reason}") from None


def delete_older(gallery: Gallery, retention: str) -> int:
    """Remove what was seen longer ago than `30d`, `12h` or `2w`, for good; returns how many tracklets.

    What has no clock time cannot be judged, and stays. Raises UserError.
    """
    match = re.fullmatch(r"(\d{1,5})([hdw])", retention)
    if match is None or int(match[1]) == 0:
        raise UserError(f"--retention {retention}: write 12h, 30d or 4w")
    oldest = datetime.now(UTC) - timedelta(**{UNITS[match[2]]: int(match[1])})
    return gallery.delete(before=oldest.timestamp())


async def _say_mistake(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, 400)


async def _say_refusal(_: Request, error: Exception) -> JSONResponse:
    status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return JSONResponse({"error": detail}, status)


async def _say_invalid(_: Request, error: Exception) -> JSONResponse:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    where = ", ".join(str(entry["loc"][-1]) for entry in errors[:3])
    return JSONResponse({"error": f"not understood: {where}"}, 422)
