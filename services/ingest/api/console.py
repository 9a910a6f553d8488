"""/console: the page of those who run the system. Its files are a fixed table, read once; the rest is from /admin."""

from importlib.resources import files
from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api.answers import NO_STORE
from services.ingest.problems import Problem

router = APIRouter(include_in_schema=False)
START: Final = "index.html"
SCRIPT: Final = "text/javascript; charset=utf-8"
# A name that is not here is not found, whatever lies on the disk.
TYPES: Final = {
    START: "text/html; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "mutations.js": SCRIPT,
    "operations.js": SCRIPT,
    "page.js": SCRIPT,
    "tenants.js": SCRIPT,
    "words.js": SCRIPT,
}
# Nothing inline, nothing from elsewhere, nobody's frame, and no text that becomes markup (Trusted Types): what clients
# and receivers wrote is shown beside an admin key.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = NO_STORE | {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


@router.get("/console")
async def start(request: Request) -> Response:
    """The page; it needs no key, but shows nothing without one."""
    return _file(request, START)


@router.get("/console/")
async def slash(request: Request) -> Response:
    """The page names its files and the API beside itself, which works from one address only."""
    return Response(status_code=307, headers=HEADERS | {"Location": "../console"})


@router.get("/console/{name}")
async def part(request: Request) -> Response:
    """Its style and its program."""
    return _file(request, request.path_params["name"])


def attach(app: FastAPI) -> None:
    """Read the files, so that none is looked for while the application runs."""
    folder = files("services.ingest") / "console"
    app.state.console = {name: (folder / name).read_bytes() for name in TYPES}


def _file(request: Request, name: str) -> Response:
    content: bytes | None = request.app.state.console.get(name)
    if content is None:
        raise Problem("not_found")
    return Response(content, headers=HEADERS, media_type=TYPES[name])
