"""Reads JSON bodies as they stream: counted, timed, within a budget of bytes for the whole process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request

from services.ingest.api.pieces import Pace, check_length, pieces, too_large
from services.ingest.budget import Budget
from services.ingest.json_text import JsonText, fed, parsed
from services.ingest.problems import Problem
from shared import limits

ADVICE: Final = "send large files by URL"


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
    _budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self._budget = Budget(self.in_flight)

    @property
    def held(self) -> int:
        """Bytes in flight now."""
        return self._budget.held

    @asynccontextmanager
    async def read(self, request: Request, tenant: str | None, optional: bool = False) -> AsyncIterator[Body]:
        """The JSON body; its bytes count as its tenant's in flight until the block ends. Raises Problem.

        Where it is optional, no body is an empty object.
        """
        if optional and _has_none(request):
            yield Body({}, 0)
            return
        _check_type(request)
        check_length(request, self.largest, ADVICE)
        size, text = 0, JsonText()
        try:
            async for piece in pieces(request, Pace(self.seconds, self.rate, self.grace)):
                self._take(tenant, len(piece))
                size += len(piece)
                if size > self.largest:
                    raise too_large(self.largest, ADVICE)
                await fed(text, piece)
            yield Body(await parsed(text), size)
        finally:
            self._budget.give_back(tenant, size)

    def _take(self, tenant: str | None, size: int) -> None:
        if not self._budget.take(tenant, size):
            raise Problem("over_capacity", headers={"Retry-After": "5"})


def _check_type(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"')
    if media_type.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Problem("unsupported_media_type", field="Content-Type")


def _has_none(request: Request) -> bool:
    """A body is announced by its length or by chunks (RFC 9112, section 6)."""
    return request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
