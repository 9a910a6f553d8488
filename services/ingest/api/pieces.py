"""Bodies piece by piece, of clients who must not be slower than they may be; what we do in between is our own time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from services.ingest.problems import Problem, unavailable
from shared.limits import readable

LATE_SECONDS: Final = 1.0  # no client can make a time-out end so late: this process was stopped, or blocked


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that a body may take in all, and bytes a second that it needs after `grace` seconds."""

    seconds: float
    rate: int
    grace: float = 5.0


async def pieces(request: Request, pace: Pace) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Problem when the client is too slow, or gone, or when we were stopped meanwhile."""
    loop = asyncio.get_running_loop()
    waited, size, more = 0.0, 0, True
    while more:
        asked = loop.time()
        ends = asked - waited + min(pace.seconds, pace.grace + size / pace.rate)
        piece, more = await _receive(request, ends)
        waited += loop.time() - asked
        size += len(piece)
        yield piece


async def _receive(request: Request, ends: float) -> tuple[bytes, bool]:
    try:
        async with asyncio.timeout_at(ends):
            message = await request.receive()
    except TimeoutError:
        if asyncio.get_running_loop().time() - ends > LATE_SECONDS:
            raise unavailable("The gateway stood still while it read the body. Send the same request again.") from None
        raise Problem("body_too_slow", headers={"Connection": "close"}) from None
    if message["type"] != "http.request":
        raise Problem("malformed_request", "The client went away before its request was complete.")
    return message.get("body", b""), message.get("more_body", False)


def check_length(request: Request, largest: int, advice: str) -> None:
    """Refuse a body that is announced as too long, or compressed. Raises Problem."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("unsupported_media_type", "Send the body without Content-Encoding.", field="Content-Encoding")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > largest:
        raise too_large(largest, advice)


def too_large(largest: int, advice: str) -> Problem:
    """The refusal of a body of more bytes than that."""
    return Problem("payload_too_large", f"A body may have {readable(largest)}; {advice}.")
