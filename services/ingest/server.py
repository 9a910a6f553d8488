"""Granian inside our own process and event loop: no worker outlives a kill and holds the port.

Its embedded server calls itself experimental, so nothing else knows that it is used. What it does with slow and odd
clients was measured, and is kept by tests/e2e/test_slow_clients.py and tests/e2e/test_odd_requests.py.
"""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.net import SocketSpec  # type: ignore[attr-defined]
from granian.server.embed import Server
from starlette.types import ASGIApp

from services.ingest.settings import IngestSettings
from shared.limits import KIB

log = structlog.get_logger()
UNREAD_BYTES: Final = (
    128 * KIB
)  # of answers that the kernel keeps for a client, which doubles it; it would keep megabytes
OTHER_FILES: Final = 1024  # of a process beside its clients' connections: servers, spooled uploads


class _Listening(Server):
    """Granian has no time-out for writing: who takes no answer would keep its connection for ever.

    So the kernel ends it. Connections inherit the listening socket's options (Linux), and TCP_USER_TIMEOUT also counts
    while the client's window stays closed; a client that has vanished without a word is noticed in the same way.
    """

    unread_seconds = 8.0

    def _init_shared_socket(self) -> None:
        held = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._shd, self._sfd, self._ssp = held, held.get_fd(), None  # type: ignore[assignment]
        with socket.socket(fileno=os.dup(held.get_fd())) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self.unread_seconds * 1000))


@contextlib.asynccontextmanager
async def serve(
    app: ASGIApp, settings: IngestSettings, broke: Callable[[], None], draining_seconds: Callable[[], float]
) -> AsyncIterator[None]:
    """Take requests while the block runs; then take no new ones and give those in hand `draining_seconds`.

    `broke` is called when the server ends by itself. HTTP/1.1 only; headers must come within `http_header_seconds`,
    also those of the next request on a connection: idle ones end then, too.
    """
    _allow_files(settings.http_connections + OTHER_FILES)
    server = _Listening(
        app,
        address=settings.http_host,
        port=settings.http_port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(settings.http_header_seconds * 1000), max_buffer_size=settings.http_header_bytes
        ),
        websockets=False,
        backlog=1024,
        backpressure=settings.http_connections,
        log_access=False,
        log_enabled=False,
    )
    server.unread_seconds = settings.http_unread_seconds
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
        await asyncio.wait({running}, timeout=draining_seconds())
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _allow_files(wanted: int) -> None:
    """Raise the process's soft limit of open files as far as it may be: a server without any left takes nobody in."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        log.warning("http.few_files", allowed=hard, wanted=wanted)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
