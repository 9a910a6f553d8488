"""Takes up deliveries that are due: retries, what had no room before, and what a dead notifier left behind."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

import structlog

from services.notifier import schedule
from services.notifier.dispatch import Claimed, Due, Lane, Notice
from services.notifier.dispatcher import FairDispatcher
from services.notifier.handler import pending_dispatch
from shared.errors import DependencyUnavailable

log = structlog.get_logger()

PAGE: Final = 500
PAGES: Final = 10
LEAST_SECONDS: Final = 0.05  # between two looks, however soon there is room again


class Queue(Protocol):
    """Deliveries that wait in the database."""

    async def due(self, environment: str, limit: int, passed: int) -> list[Due]:
        """Up to `limit` of what is due, the longest due first, after the `passed` first ones."""

    async def claim(self, environment: str, ids: Sequence[str]) -> dict[str, Claimed]:
        """Lease them; those that are ours."""

    async def postpone(self, environment: str, ids: Sequence[str], seconds: float) -> None:
        """Put them off."""

    async def end_undeliverable(self, environment: str, ids: Sequence[str]) -> None:
        """End what can't be sent any more."""


class Notices(Protocol):
    """What callbacks are built from."""

    async def read(self, environment: str, ids: Sequence[str]) -> dict[str, Notice]:
        """The notices of these mutations."""


class Poller:
    """Looks for due deliveries of each environment, and hands the dispatcher as many as it has room for."""

    def __init__(
        self,
        environments: Sequence[str],
        queue: Queue,
        notices: Notices,
        dispatcher: FairDispatcher,
        rng: Random,
        every_seconds: float,
    ) -> None:
        self._environments, self._queue, self._notices = environments, queue, notices
        self._dispatcher, self._rng, self._every_seconds = dispatcher, rng, every_seconds

    async def run(self) -> None:
        """Look for ever: at intervals, and soon after a crowded lane has room again."""
        while True:
            try:
                more = [await self.look(environment) for environment in self._environments]
            except DependencyUnavailable as error:
                log.warning("poll.held", error=str(error))
                more = []
            except Exception:
                log.exception("poll.failed")
                more = []
            await self._pause(at_once=any(more))

    async def look(self, environment: str) -> bool:
        """Take up what is due and fits; whether there may be more behind it."""
        passed = 0
        for page in range(PAGES):
            found = await self._queue.due(environment, PAGE, passed)
            reserved = {due.delivery: due.lane for due in found if self._dispatcher.reserve(due.lane)}
            if reserved:
                await self._take(environment, dict(reserved))
            left = [due for due in found if due.delivery not in reserved]
            if self._dispatcher.free <= 0 or len(found) < PAGE:
                await self._put_off(environment, left, also_busy=False)
                return False
            passed += len(left) - await self._put_off(environment, left, also_busy=page == PAGES - 1)
        return True

    async def _take(self, environment: str, reserved: dict[str, Lane]) -> None:
        """Lease and submit. A kill in between leaves leases that run out."""
        try:
            claimed = await self._queue.claim(environment, list(reserved))
            notices = await self._notices.read(environment, list(claimed)) if claimed else {}
            for delivery, ours in claimed.items():
                notice = notices.get(delivery)
                if notice and ours.url:
                    self._dispatcher.submit(pending_dispatch(notice, reserved[delivery], ours))
                    del reserved[delivery]
            lost = [delivery for delivery in claimed if delivery in reserved]
        finally:
            for lane in reserved.values():
                self._dispatcher.cancel(lane)
        if lost:
            log.warning("deliveries.undeliverable", mutations=lost)
            await self._queue.end_undeliverable(environment, lost)

    async def _put_off(self, environment: str, left: Sequence[Due], also_busy: bool) -> int:
        """What answers nothing must not stand at the head of the queue; what is busy may, if the rest is in sight."""
        pauses: defaultdict[float, list[str]] = defaultdict(list)
        of_lane: dict[Lane, float] = {}
        for due in left:
            pause = of_lane.setdefault(due.lane, self._pause_of(due.lane, also_busy))
            pauses[pause].append(due.delivery)
        pauses.pop(0.0, None)
        for pause, ids in pauses.items():
            await self._queue.postpone(environment, ids, pause)
        return sum(map(len, pauses.values()))

    def _pause_of(self, lane: Lane, also_busy: bool) -> float:
        failures = self._dispatcher.failures(lane)
        if failures >= schedule.FAILING_FROM:
            return schedule.postponement(failures, self._rng)
        return schedule.BUSY_SECONDS if also_busy else 0.0

    async def _pause(self, at_once: bool) -> None:
        await asyncio.sleep(LEAST_SECONDS)
        if at_once:
            return
        try:
            async with asyncio.timeout(self._every_seconds - LEAST_SECONDS):
                await self._dispatcher.has_room.wait()
        except TimeoutError:
            return
        finally:
            self._dispatcher.has_room.clear()
