"""Sends callbacks through the egress guard: no redirects, one time-out around all, answers read only in part."""

import asyncio
import time
from contextlib import suppress
from typing import Final

import httpx2
from aiohttp import ClientError

from services.notifier.courier import BROKEN, TIMEOUT, UNREACHABLE
from services.notifier.dispatch import Answer
from shared import limits
from shared.deliveries import AttemptError
from shared.egress import EgressPolicy, EgressRefused, EgressStarved, UrlRefused, check_url, count_refusal
from shared.errors import DependencyUnavailable

USER_AGENT: Final = "MutationEngine-Webhooks/1"
CLOSE_SECONDS: Final = 1.0  # a receiver that reads no further must not hold the attempt
LATE_SECONDS: Final = 1.0  # no receiver can make a time-out end so late: this process was stopped, or blocked
TARGETS_REMEMBERED: Final = 1024
FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL, ClientError, ValueError, TimeoutError, OSError)
# ValueError: UrlRefused, and what parsing a hostile Location may raise.
# A closed port, a filtered one and a name without an address look like a refused one.
NO_CONNECTION: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)


class HttpSender:
    """Posts over one guarded client, which keeps connections to receivers open."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        policy: EgressPolicy,
        total_seconds: float = limits.CALLBACK_SECONDS,
        late_seconds: float = LATE_SECONDS,
    ) -> None:
        self._client, self._policy, self._total_seconds = client, policy, total_seconds
        self._late_milliseconds = 1000 * (total_seconds + late_seconds)
        self._defaults = dict(client.headers)
        self._targets: dict[str, httpx2.URL] = {}  # URLs that passed the static checks; the dialler judges every time

    async def send(self, url: str, headers: dict[str, str], content: bytes) -> Answer:
        """POST the bytes; ends within the total time-out, however the receiver behaves."""
        started = time.monotonic()
        try:
            status, text, retry_after = await self._exchange(url, headers, content)
        except EgressStarved as error:  # nothing was sent, and it is not the receiver's doing
            raise DependencyUnavailable("egress", type(error).__name__) from error
        except FAILURES as error:
            taken = _milliseconds(started)
            return Answer(None, taken, error=_error_of(error), late=taken > self._late_milliseconds)
        return Answer(status, _milliseconds(started), text, retry_after)

    async def _exchange(self, url: str, headers: dict[str, str], content: bytes) -> tuple[int, str, str | None]:
        kept = bytearray()
        response: httpx2.Response | None = None
        try:
            async with asyncio.timeout(self._total_seconds):
                response = await self._client.send(self._request(url, headers, content), stream=True)
                await _read_start(response, kept)
        except FAILURES:
            if response is None:
                raise
            # The status has come and is the answer; what is missing of its text decides nothing.
        finally:
            if response is not None:
                with suppress(*FAILURES):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await response.aclose()
        text = bytes(kept[: limits.CALLBACK_ANSWER_BYTES]).decode("utf-8", "replace")
        return response.status_code, text, response.headers.get("retry-after")

    def _request(self, url: str, headers: dict[str, str], content: bytes) -> httpx2.Request:
        # Built by itself: merging the client's defaults into every request costs more than sending it.
        target = self._targets.get(url)
        if target is None:
            target = check_url(url, self._policy).url
            if len(self._targets) >= TARGETS_REMEMBERED:
                self._targets.clear()
            self._targets[url] = target
        request = httpx2.Request("POST", target, headers=self._defaults | headers, content=content)
        request.headers.encoding = "ascii"
        return request


async def _read_start(response: httpx2.Response, kept: bytearray) -> None:
    """Read what is kept of an answer; a connection with more to come is closed, not drained."""
    async for chunk in response.aiter_raw():
        kept += chunk
        if len(kept) > limits.CALLBACK_ANSWER_BYTES:
            return


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _error_of(error: Exception) -> AttemptError:
    """One neutral word: whoever reads the attempt can't tell a refused address from a dead one."""
    if isinstance(error, (EgressRefused, UrlRefused)):
        count_refusal(error)
        return UNREACHABLE
    if isinstance(error, NO_CONNECTION):
        return UNREACHABLE
    return TIMEOUT if isinstance(error, (TimeoutError, httpx2.TimeoutException)) else BROKEN
