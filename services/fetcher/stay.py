"""The places that one download holds: at its host, and among all that are in flight."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from services.fetcher.handler import SourceBusy
from services.fetcher.pacing import HostGate


class Stay:
    """Waits for a place at a host first, so that nobody is in flight who only waits."""

    def __init__(self, gate: HostGate, in_flight: asyncio.Semaphore, wait_seconds: float) -> None:
        self._gate, self._in_flight, self._wait_seconds = gate, in_flight, wait_seconds
        self._host: str | None = None
        self._place = AsyncExitStack()
        self._flying = False

    async def move(self, host: str) -> None:
        """Be at this host and in flight; a place at the same host is kept. Raises SourceBusy when none comes free."""
        if host != self._host:
            # The old place is given up before waiting for the new one, so visits can't wait for each other in a circle.
            await self.leave_host()
            self.land()
        try:
            async with asyncio.timeout(self._wait_seconds):
                if host != self._host:
                    await self._place.enter_async_context(self._gate.visit(host))
                    self._host = host
                elif self._gate.rest(host):
                    self.land()
                    await asyncio.sleep(self._gate.rest(host))
        except TimeoutError:
            raise SourceBusy from None
        if not self._flying:
            await self._in_flight.acquire()
            self._flying = True

    def land(self) -> None:
        """Give the place in flight to somebody else; void when there is none."""
        if self._flying:
            self._flying = False
            self._in_flight.release()

    async def leave_host(self) -> None:
        """Give the place at the host up."""
        self._host = None
        await self._place.aclose()


@asynccontextmanager
async def stopped(clock: asyncio.Timeout) -> AsyncIterator[None]:
    """The clock stands still meanwhile: waiting for others is not a source's slowness."""
    now = asyncio.get_running_loop().time
    left = (clock.when() or 0.0) - now()
    clock.reschedule(None)
    try:
        yield
    finally:
        clock.reschedule(now() + left)
