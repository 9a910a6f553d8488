"""How much is under way and how old it is, counted in the ledger: it tells the truth when consumers are dead, too."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

import structlog
from prometheus_client import Gauge

from shared.errors import DependencyUnavailable

log = structlog.get_logger()
EVERY_SECONDS: Final = 15.0
LEASE: Final = "ingest.backlog"
LEASE_SECONDS: Final = 3 * EVERY_SECONDS
COUNTED: Final = 100_000  # and no further: counting must not cost what is counted
MUTATIONS = Gauge("engine_mutations", "Mutations that are not done with, by lane", ["environment", "lane"])
OLDEST = Gauge("engine_mutations_oldest_seconds", "Age of the oldest of them since its 202", ["environment", "lane"])
DELIVERIES = Gauge("engine_deliveries_pending", "Deliveries that have not ended", ["environment"])
OVERDUE = Gauge(
    "engine_deliveries_overdue_seconds", "Since when the first of them is due and not taken", ["environment"]
)


class Lane(NamedTuple):
    """How many are in a queue, and the time of the first of them: for mutations that of their 202."""

    size: int
    first: datetime | None


class Counts(Protocol):
    """What is asked of the database; see MongoBacklog. Raises DependencyUnavailable."""

    async def lanes(self, environment: str) -> dict[str, Lane]:
        """Every lane by its name."""
        ...

    async def deliveries(self, environment: str) -> Lane:
        """Those that have not ended, and when the first of them was, or will be, due."""
        ...


class Backlog:
    """Counted by one replica, so that figures can be added up; the others tell nothing."""

    def __init__(
        self, counts: Counts, environments: tuple[str, ...], hold: Callable[[str, float], Awaitable[bool]]
    ) -> None:
        self._counts, self._environments, self._hold = counts, environments, hold

    async def run(self) -> None:
        """Count every few seconds, for ever."""
        while True:
            try:
                await self.count()
            except DependencyUnavailable as error:
                log.warning("backlog.unknown", error=str(error))
            except Exception:
                log.exception("backlog.failed")
            await asyncio.sleep(EVERY_SECONDS)

    async def count(self) -> None:
        """Count once; what can't be counted is not told, rather than told wrong."""
        lanes, deliveries = dict[str, dict[str, Lane]](), dict[str, Lane]()
        try:
            for environment in self._environments if await self._hold(LEASE, LEASE_SECONDS) else ():
                lanes[environment] = await self._counts.lanes(environment)
                deliveries[environment] = await self._counts.deliveries(environment)
        finally:
            for gauge in (MUTATIONS, OLDEST, DELIVERIES, OVERDUE):
                gauge.clear()
            self._tell(lanes, deliveries, datetime.now(UTC))

    @staticmethod
    def _tell(lanes: dict[str, dict[str, Lane]], deliveries: dict[str, Lane], now: datetime) -> None:
        for environment, found in lanes.items():
            for name, lane in found.items():
                MUTATIONS.labels(environment, name).set(lane.size)
                OLDEST.labels(environment, name).set(_since(lane.first, now))
        for environment, pending in deliveries.items():
            DELIVERIES.labels(environment).set(pending.size)
            OVERDUE.labels(environment).set(_since(pending.first, now))


def _since(first: datetime | None, now: datetime) -> float:
    return max((now - first).total_seconds(), 0.0) if first else 0.0
