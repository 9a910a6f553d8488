"""Granian inside our own process and event loop: no worker outlives a kill and holds the port.

Its embedded server calls itself experimental, so nothing else knows that it is used.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from services.ingest.settings import IngestSettings

log = structlog.get_logger()


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, settings: IngestSettings, broke: Callable[[], None]) -> AsyncIterator[None]:
    """Take requests while the block runs; then take no new ones and give those in hand `drain_seconds`.

    `broke` is called when the server ends by itself. HTTP/1.1 only; headers must come within `http_header_seconds`.
    """
    server = Server(
        app,
        address=settings.http_host,
        port=settings.http_port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(settings.http_header_seconds * 1000)),
        websockets=False,
        backlog=1024,
        backpressure=settings.http_connections,
        log_access=False,
        log_enabled=False,
    )
    running, stopping = asyncio.create_task(server.serve()), False

    def ended(task: asyncio.Task[None]) -> None:
        if not stopping:
            log.error("http.ended", error=repr(task.exception()))
            broke()

    running.add_done_callback(ended)
    try:
        yield
    finally:
        stopping = True
        server.stop()  # type: ignore[no-untyped-call]
        await asyncio.wait({running}, timeout=settings.drain_seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
