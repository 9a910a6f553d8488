"""Collects results of attempts and writes them together: one request for all that ended during the last one."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog
from uuid_utils import uuid7

from services.notifier.dispatch import Dispatched
from shared.errors import DependencyUnavailable

log = structlog.get_logger()

BATCH: Final = 500
RETRY_SECONDS: Final = 1.0

Result = tuple[str, Dispatched]


class AttemptLog(Protocol):
    """Where results are written."""

    async def record(self, results: Sequence[Result]) -> None:
        """Write all; a repetition is void. Raises DependencyUnavailable."""


class Recorder:
    """Keeps results until they are written; bounded by what the dispatcher may have in memory.

    A kill loses results that are not written: their leases run out, and they are sent again under the same id.
    """

    def __init__(self, attempts: AttemptLog, linger_seconds: float) -> None:
        self._attempts, self._linger_seconds = attempts, linger_seconds
        self._results: list[Result] = []
        self._arrived = asyncio.Event()

    def add(self, dispatched: Dispatched) -> None:
        """Have it written soon."""
        # The id is made before the first write, so that a write with unknown result can be repeated.
        self._results.append((str(uuid7()), dispatched))
        self._arrived.set()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._linger_seconds)
            await self._write_some()
            if not self._results:
                self._arrived.clear()

    async def flush(self) -> None:
        """Write all there is, however often MongoDB has to be asked."""
        while self._results:
            await self._write_some()

    async def _write_some(self) -> None:
        batch = self._results[:BATCH]
        try:
            await self._attempts.record(batch)
        except DependencyUnavailable as error:
            log.warning("results.held", error=str(error), waiting=len(self._results))
            await asyncio.sleep(RETRY_SECONDS)
            return
        except Exception:
            log.exception("results.refused", size=len(batch))
            await self._record_each(batch)
            return
        # Only what is written leaves the list: whoever cancels a write may flush again.
        del self._results[: len(batch)]

    async def _record_each(self, batch: Sequence[Result]) -> None:
        """A bug in one result must not cost the others; its own delivery comes due again when its lease runs out."""
        for result in batch:
            try:
                await self._attempts.record([result])
            except DependencyUnavailable:
                return  # what is left is tried again
            except Exception:
                log.exception("result.dropped", mutation=result[1].pending.delivery)
            del self._results[0]
