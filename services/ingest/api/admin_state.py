"""For operators: how the engine stands, once or as server-sent events
(https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.ingest.api import answers
from services.ingest.api.describe import administer, watched
from services.ingest.api.gateway import Gateway, admitted
from services.ingest.problems import Problem

router = APIRouter(prefix="/admin/state", tags=["administration"])
EVERY_SECONDS: Final = 2.0
LASTS_SECONDS: Final = 600.0  # then the client comes again
RETRY_MS: Final = 1000
HEADERS: Final = answers.NO_STORE | {"X-Accel-Buffering": "no"}  # or a proxy would collect events


@router.get("", **administer("StateAnswer", "See how the engine stands"))
async def state(request: Request) -> Response:
    """Lag of its consumer groups, mutations under way, and which wait for others of their record."""
    gateway = await admitted(request)
    return answers.found(request, await gateway.oversight.standing.look())


@router.get("/events", **watched("Watch how the engine stands"))
async def events(request: Request) -> Response:
    """`data` of the same, every two seconds, as server-sent events (`event: state`)."""
    gateway = await admitted(request)
    return StateStream(gateway, partial(gateway.still_admits, request))


class StateStream(Response):
    """Writes events while its client listens, its key lives, and this process stays."""

    media_type = "text/event-stream"

    def __init__(self, gateway: Gateway, admitted: Callable[[], Awaitable[bool]]) -> None:
        self.status_code, self.background = 200, None
        self._gateway, self._admitted = gateway, admitted
        self.init_headers(HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem over_capacity before anything was sent."""
        clock, streams = asyncio.get_running_loop().time, self._gateway.oversight.streams
        if not streams.take(None, 1):
            advice = "Too many watch the state: ask GET /admin/state now and then."
            raise Problem("over_capacity", advice, headers={"Retry-After": "5"})
        began, left = clock(), asyncio.create_task(_left(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if not scope["state"].get("head"):
                async for event in self._events(left):
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            streams.give_back(None, 1)
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)
            scope["state"]["waited"] = clock() - began  # a client that stays says nothing of how slow we are

    async def _events(self, left: asyncio.Task[None]) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        until = clock() + LASTS_SECONDS
        yield b"retry: %d\n\n" % RETRY_MS
        while self._gateway.ready():
            standing = await self._gateway.oversight.standing.look()
            if not await self._admitted():
                return
            yield b"event: state\ndata: " + orjson.dumps(standing, option=answers.JSON_OPTIONS) + b"\n\n"
            if not self._gateway.ready() or clock() >= until:
                return
            gone, _ = await asyncio.wait({left}, timeout=EVERY_SECONDS)
            if gone:
                return


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
