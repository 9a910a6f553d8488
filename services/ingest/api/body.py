"""Reads JSON bodies as they stream: counted, timed, within a budget of bytes for the whole process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Gauge
from starlette.requests import Request

from services.ingest.json_text import JsonText, fed, parsed
from services.ingest.problems import Problem
from shared import limits

IN_FLIGHT = Gauge("engine_body_bytes_in_flight", "Bytes of request bodies in memory")


@dataclass(frozen=True, slots=True)
class Body:
    """A parsed body and its size in bytes."""

    value: Any
    size: int


@dataclass(slots=True)
class BodyReader:
    """Limits of one process; `rate` (bytes/s) counts after `grace` seconds, `seconds` is the most a body may take."""

    in_flight: int = limits.BYTES_IN_FLIGHT
    seconds: float = limits.BODY_SECONDS
    rate: int = 16 * limits.KIB
    largest: int = limits.BODY_BYTES
    grace: float = 5.0
    held: int = field(default=0, init=False)

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Body]:
        """The JSON body; its bytes count as in flight until the block ends. Raises Problem."""
        _check_headers(request, self.largest)
        loop = asyncio.get_running_loop()
        began, size, text = loop.time(), 0, JsonText()
        try:
            more = True
            while more:
                ends = began + min(self.seconds, self.grace + size / self.rate)
                piece, more = await _receive(request, ends)
                self._hold(len(piece))
                size += len(piece)
                if size > self.largest:
                    raise _too_large(self.largest)
                await fed(text, piece)
            yield Body(await parsed(text), size)
        finally:
            self._hold(-size)

    def _hold(self, size: int) -> None:
        if size > 0 and self.held + size > self.in_flight:
            raise Problem("over_capacity", headers={"Retry-After": "5"})
        self.held += size
        IN_FLIGHT.set(self.held)


async def _receive(request: Request, ends: float) -> tuple[bytes, bool]:
    try:
        async with asyncio.timeout_at(ends):
            message = await request.receive()
    except TimeoutError:
        raise Problem("body_too_slow", headers={"Connection": "close"}) from None
    if message["type"] != "http.request":
        raise Problem("malformed_request", "The client went away before its request was complete.")
    return message.get("body", b""), message.get("more_body", False)


def _check_headers(request: Request, largest: int) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"')
    if media_type.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Problem("unsupported_media_type", field="Content-Type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported_media_type", "Send the body without Content-Encoding.", field="Content-Encoding")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > largest:
        raise _too_large(largest)


def _too_large(largest: int) -> Problem:
    return Problem("payload_too_large", f"A body may have {largest} bytes; send large files by URL.")
