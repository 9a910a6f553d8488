"""The adapter for strangers' servers: one bounded GET of a URL, through the egress guard, into a spool.

Bounded in everything a stranger controls: addresses, redirects, bytes, rate, tries and total time.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx2
import structlog
from prometheus_client import Counter

from services.fetcher.answers import Failed, announced_size, judge, media_type, redirect_target, tighten
from services.fetcher.handler import Downloaded, SourceBusy
from services.fetcher.pacing import HostGate
from services.fetcher.stay import Stay, stopped
from shared import limits
from shared.egress import (
    EgressBusy,
    EgressPolicy,
    EgressRefused,
    EgressStarved,
    ParsedUrl,
    UrlRefused,
    check_url,
    count_refusal,
    loggable,
)
from shared.errors import OUTCOME_CODES, DependencyUnavailable
from shared.events import FileError
from shared.spool import Spool
from shared.tracing import note

PAUSES_SECONDS: Final = (1.0, 4.0)  # before the second and the third try, with jitter
SLOWEST_BYTES_PER_SECOND: Final = 16 * limits.KIB
GRACE_SECONDS: Final = 10.0  # before the rate counts
HOST_WAIT_SECONDS: Final = 30.0  # for a place at a host
# A body of unknown length gets a small window before the limit, so that hardly more than the limit is ever taken.
TIGHT_BYTES: Final = 512 * limits.KIB

DOWNLOADS = Counter("engine_downloads_total", "Downloads by outcome", ["outcome"])
log = structlog.get_logger()


class HttpDownloader:
    """Downloads by HTTP; a stranger's failure is a value, DependencyUnavailable and SourceBusy the only exceptions."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        policy: EgressPolicy,
        *,
        spool_directory: Path | None = None,
        in_flight: int = limits.DOWNLOADS_IN_FLIGHT,
        per_host: int = limits.DOWNLOADS_PER_HOST,
        host_wait_seconds: float = HOST_WAIT_SECONDS,
        seconds: float = limits.DOWNLOAD_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        pauses: Sequence[float] = PAUSES_SECONDS,
    ) -> None:
        self._client, self._policy, self._directory = client, policy, spool_directory
        self._seconds, self._grace, self._pauses = seconds, grace_seconds, pauses
        self._gate = HostGate(per_host)
        self._host_wait = host_wait_seconds
        self._in_flight = asyncio.Semaphore(in_flight)

    async def download(self, url: str) -> Downloaded | FileError:
        """The bytes behind a URL, or why they could not be had. The clock runs while there is a place at the host."""
        try:
            result = await self._bounded(check_url(url, self._policy))
        except UrlRefused as error:
            count_refusal(error)
            code = "source_unreachable"
        except TimeoutError:
            code = "source_unreachable"
        except Failed as failure:
            code = failure.code
        except (DependencyUnavailable, SourceBusy):
            raise
        except Exception:  # whatever a stranger's answer sets off must not cost the mutation its other files
            log.exception("download.broken", source=loggable(url))
            code = "source_error"
        else:
            DOWNLOADS.labels("stored").inc()
            return result
        DOWNLOADS.labels(code).inc()
        log.info("download.failed", source=loggable(url), code=code)
        # One sentence a code: nobody can tell refused, filtered and timed out apart and scan ports through us.
        return FileError(code=code, message=OUTCOME_CODES[code].advice)

    async def _bounded(self, target: ParsedUrl) -> Downloaded:
        stay = Stay(self._gate, self._in_flight, self._host_wait)
        try:
            await stay.move(target.host)
            async with asyncio.timeout(self._seconds) as clock:
                found = await self._tries(target, stay, clock)
        except BaseException:
            stay.land()
            raise
        finally:
            await stay.leave_host()
        return replace(found, release=stay.land)

    async def _tries(self, target: ParsedUrl, stay: Stay, clock: asyncio.Timeout) -> Downloaded:
        for pause in (*self._pauses[: limits.DOWNLOAD_TRIES - 1], None):
            try:
                return await self._follow(target, stay, clock)
            except Failed as failure:
                wait = max((pause or 0.0) * random.uniform(0.5, 1.5), failure.retry_after or 0.0)  # noqa: S311
                too_late = asyncio.get_running_loop().time() + wait > (clock.when() or 0.0)
                if not failure.transient or pause is None or too_late:
                    raise
            stay.land()
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def _follow(self, target: ParsedUrl, stay: Stay, clock: asyncio.Timeout) -> Downloaded:
        for _ in range(limits.REDIRECTS + 1):
            async with stopped(clock):
                await stay.move(target.host)
            result = await self._request(target)
            if isinstance(result, Downloaded):
                return result
            target = result
        raise Failed("too_many_redirects")

    async def _request(self, target: ParsedUrl) -> Downloaded | ParsedUrl:
        try:
            async with self._client.stream("GET", target.url) as response:
                note({"http.response.status_code": response.status_code})  # of several tries and redirects the last
                if location := redirect_target(response):
                    return self._next(target, location)
                try:
                    judge(response)
                except Failed as failure:
                    if failure.retry_after is not None:
                        self._gate.pause(target.host, failure.retry_after)
                    raise
                return await self._body(response)
        except EgressRefused as error:
            count_refusal(error)
            raise Failed("source_unreachable") from error
        except EgressBusy as error:
            raise SourceBusy from error
        except EgressStarved as error:
            raise DependencyUnavailable("egress", "no socket") from error
        except httpx2.HTTPError as error:
            raise Failed("source_unreachable", transient=True) from error

    def _next(self, target: ParsedUrl, location: str) -> ParsedUrl:
        try:
            following = check_url(str(target.url.join(location)), self._policy)
        except (UrlRefused, httpx2.InvalidURL, ValueError) as error:
            count_refusal(error)
            raise Failed("source_unreachable") from error
        if target.scheme == "https" and following.scheme != "https":
            raise Failed("source_unreachable")
        return following

    async def _body(self, response: httpx2.Response) -> Downloaded:
        announced = announced_size(response)
        spool = Spool(self._directory)
        try:
            await self._drain(response, spool, announced)
            if announced is not None and spool.size != announced:
                raise Failed("source_incomplete", transient=True)
            if not spool.size:
                raise Failed("empty_file")
            body = await spool.finish()
        except BaseException:
            spool.close()
            raise
        return Downloaded(body, spool.size, spool.sha256(), media_type(response))

    async def _drain(self, response: httpx2.Response, spool: Spool, announced: int | None) -> None:
        started, tight = time.monotonic(), announced is not None
        try:
            async for chunk in response.aiter_raw():
                await spool.write(chunk)
                if spool.size > limits.URL_FILE_BYTES:
                    raise Failed("too_large")
                if not tight and spool.size > limits.URL_FILE_BYTES - TIGHT_BYTES:
                    tight = True
                    tighten(response)
                elapsed = time.monotonic() - started
                if elapsed > self._grace and spool.size < elapsed * SLOWEST_BYTES_PER_SECOND:
                    raise Failed("source_unreachable")
        except httpx2.TimeoutException:
            raise
        except httpx2.HTTPError as error:  # it broke off after the headers
            raise Failed("source_incomplete", transient=True) from error
