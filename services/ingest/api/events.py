"""The states of a write as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.ingest.api import answers, describe_mutations, parameters
from services.ingest.api.gateway import gateway_of
from services.ingest.api.mutation_views import found, state
from services.ingest.auth import Caller
from services.ingest.watches import ENDED, Watch, Watches, progress
from shared.ledger import MutationDocument

router = APIRouter(tags=["mutations"])
RETRY_MS: Final = 1000  # after which a client comes again, when the stream ends before the mutation does
HEADERS: Final = answers.NO_STORE | {"X-Accel-Buffering": "no"}  # or a proxy would collect events
LAST: Final = "Last-Event-ID"


@router.get("/mutations/{idempotencyKey}/events", **describe_mutations.events())
async def events(request: Request) -> Response:
    """An event for each state that a mutation reaches, the present one first; the stream ends behind the last one.

    It also ends after a few minutes, when its key is revoked, and when the gateway is being restarted: come again with
    `Last-Event-ID`, and nothing is repeated. 204: nothing is left to be told. The events of several records share one
    stream.
    """
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    _, documents = await found(gateway, caller, request.path_params["idempotencyKey"])
    told = _told(request.headers.get(LAST), documents)
    if all(each == ENDED for each in told.values()):
        return answers.gone()
    return EventStream(gateway.watches, caller, documents, told, partial(gateway.still_admits, request))


def _told(last: str | None, documents: Sequence[MutationDocument]) -> dict[str, int]:
    """How far each mutation is, as far as the client knows. Raises Problem for an id that we have never given."""
    if not last:
        return dict.fromkeys((each["_id"] for each in documents), 0)
    if not re.fullmatch(rf"[0-{ENDED}]{{{len(documents)}}}", last):
        raise parameters.refused(LAST, f"Send the id of the last event of this stream as {LAST}, or leave it out.")
    # Nobody can know more than is true.
    return {each["_id"]: min(int(digit), progress(each["status"])) for each, digit in zip(documents, last, strict=True)}


class EventStream(Response):
    """Writes events while its client listens. `told` grows with each; put together, its numbers are the event's id.

    So an id holds all that a replica needs to go on where another one has stopped.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        watches: Watches,
        caller: Caller,
        documents: Sequence[MutationDocument],
        told: dict[str, int],
        admitted: Callable[[], Awaitable[bool]],
    ) -> None:
        self.status_code, self.background = 200, None
        self._watches, self._caller, self._documents, self._told = watches, caller, documents, told
        self._admitted = admitted
        self.init_headers(HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem over_capacity before anything was sent."""
        with self._watches.open(self._caller.environment, self._caller.tenant, self._documents) as watch:
            async with leaving(receive, watch):
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                if not scope["state"].get("head"):
                    async for text in self._texts(watch):
                        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        scope["state"]["waited"] = watch.waited

    async def _texts(self, watch: Watch) -> AsyncIterator[str]:
        clock = asyncio.get_running_loop().time
        pace = self._watches.pace
        until = clock() + pace.stream
        yield f"retry: {RETRY_MS}\n\n"
        while True:
            for name, document in watch.documents.items():
                if progress(document["status"]) > self._told[name]:
                    self._told[name] = progress(document["status"])
                    yield self._event(document)
            if not watch.open or watch.over or clock() >= until:
                return
            news = await watch.news(min(pace.alive, until - clock()))
            if not await self._admitted():
                return
            if not news:
                yield ": still waiting\n\n"

    def _event(self, document: MutationDocument) -> str:
        data = orjson.dumps(state(document), option=answers.JSON_OPTIONS).decode()
        return f"id: {''.join(map(str, self._told.values()))}\nevent: state\ndata: {data}\n\n"


@asynccontextmanager
async def leaving(receive: Receive, watch: Watch) -> AsyncIterator[None]:
    """Let the watch be over when its client goes away."""

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        watch.leave()

    listening = asyncio.create_task(left())
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
