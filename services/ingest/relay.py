"""From the ledger to Kafka: at once in the background, later where Kafka is away or the tenant's window is full.

The ledger is the queue: whatever is lost here (a kill, a full queue, a failed publish) is found there again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from services.ingest.windows import FINISHED_SECONDS, QUEUE, Offered, Window
from shared import topics
from shared.crash_points import crash_point
from shared.errors import DependencyUnavailable
from shared.ledger import WAITING, Document
from shared.outbox import accepted_event
from shared.publisher import Outgoing

log = structlog.get_logger()
ENVIRONMENTS: Final = ("live", "sandbox")
TURN: Final = 20  # what a tenant may publish before the next one has its turn
RECOUNT_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 5.0  # nearly everything has ended by then; what has not is marked as published
LOOK_LEASE: Final = "ingest.look"
LOOK_LEASE_LOOKS: Final = 2.4
FORGOTTEN_LOOKS: Final = 1.6  # what waits for less is probably in somebody's hands, who has not marked it yet


class Outbox(Protocol):
    """What the relay asks the ledger; see MongoOutbox."""

    async def waiting_tenants(self, environment: str) -> list[str]: ...
    async def waiting(self, environment: str, tenant: str, before: datetime, limit: int) -> list[Document]: ...
    async def lanes(self, environment: str, ids: Iterable[str]) -> dict[str, str]: ...
    async def under_way(self, environment: str, tenant: str) -> int: ...
    async def finished(self, environment: str, tenant: str, seconds: float) -> int: ...
    async def mark_published(self, environment: str, ids: Iterable[str]) -> None: ...
    async def mark_published_again(self, environment: str, documents: Iterable[Document]) -> None: ...


class Publisher(Protocol):
    """The producer."""

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]: ...


class Relay:
    """`offer` never blocks and never fails; `run`, `recount` and `look` are endless jobs."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        lead: Callable[[], Awaitable[bool]],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._outbox, self._publisher, self._lead, self._look_seconds = outbox, publisher, lead, look_seconds
        self._leads = False  # one replica looks into the ledger: what waits in another's queue is not forgotten
        self._windows: dict[tuple[str, str], Window] = {}
        self._changed = asyncio.Event()

    def offer(self, environment: str, document: Any) -> None:
        """Publish soon, if the tenant's window has a place; otherwise it waits."""
        self._window(environment, document["tenant"]).offer(_offered(environment, document))
        self._changed.set()

    async def run(self) -> None:
        """Publish in fair turns what may go."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while batch := [o for window in self._windows.values() for o in window.take(TURN)]:
                await self._publish(batch)

    async def recount(self) -> None:
        """Twice a second count the windows anew."""
        while True:
            await asyncio.sleep(RECOUNT_SECONDS)
            for name, window in list(self._windows.items()):
                try:
                    await self._count(*name, window)
                except DependencyUnavailable as error:
                    log.warning("relay.postponed", error=str(error))
                except Exception:
                    log.exception("relay.failed")
                if window.idle:
                    del self._windows[name]
            self._changed.set()

    async def look(self) -> None:
        """Every few seconds look for what waits in the ledger and in nobody's queue."""
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                self._leads = await self._lead()
                for environment in ENVIRONMENTS if self._leads else ():
                    for tenant in await self._outbox.waiting_tenants(environment):
                        self._window(environment, tenant).doubtful = True
            except DependencyUnavailable as error:
                log.warning("relay.postponed", error=str(error))
            except Exception:
                log.exception("relay.failed")

    async def publish_again(self, environment: str, documents: list[Document]) -> None:
        """Publish what is known to be lost; its place in the window it has already."""
        offered = _all_offered(environment, documents)
        results = await self._send(offered)
        crash_point("ingest.published_again")
        refused = {each.id for each, error in zip(offered, results, strict=True) if error}
        # What makes no event counts as published, or it would stand before all others for ever.
        again = [each for each in documents if each["_id"] not in refused]
        await self._outbox.mark_published_again(environment, again)

    def _window(self, environment: str, tenant: str) -> Window:
        return self._windows.setdefault((environment, tenant), Window())

    async def _send(self, batch: list[Offered]) -> list[BaseException | None]:
        return await self._publisher.publish_many((topics.ACCEPTED, o.event, o.traceparent) for o in batch)

    async def _publish(self, batch: list[Offered]) -> None:
        """Publish; only an acknowledged publish counts, the others wait in the ledger."""
        results = await self._send(batch)
        crash_point("ingest.published")
        for offered, error in zip(batch, results, strict=True):
            window = self._window(offered.environment, offered.event.tenant)
            if error is None:
                window.acknowledged(offered.id, time.monotonic())
            else:
                window.refused([offered.id])

    async def _count(self, environment: str, tenant: str, window: Window) -> None:
        """Forget what has ended, mark what takes longer, count, and fetch what waits in the ledger.

        Most has ended before it is marked, which saves the write. A kill before the mark leaves published mutations
        in the lane `waiting`: they are published again, under the same ce_id.
        """
        asked, old = dict(window.sent), time.monotonic() - self._look_seconds  # others may be sent while we ask
        lanes = await self._outbox.lanes(environment, asked) if asked else {}
        settled = {name for name in asked if lanes.get(name) != WAITING}
        slow = [name for name, sent in asked.items() if name not in settled and sent < old]
        await self._outbox.mark_published(environment, slow)
        for name in [*settled, *slow]:
            window.sent.pop(name, None)
        if window.queue or window.forgotten or window.doubtful:
            window.marked = await self._outbox.under_way(environment, tenant)
            finished = await self._outbox.finished(environment, tenant, FINISHED_SECONDS)
            window.size = max(finished, Window().size)
        if (window.forgotten or window.doubtful) and not window.queue:
            if self._leads:
                await self._refill(environment, tenant, window)
            else:
                # Whoever leads finds them; what is offered here from now on goes at once.
                window.forgotten = window.doubtful = False

    async def _refill(self, environment: str, tenant: str, window: Window) -> None:
        before = datetime.now(UTC) - timedelta(seconds=FORGOTTEN_LOOKS * self._look_seconds)
        limit = min(2 * window.size + len(window.sent), QUEUE)
        found = await self._outbox.waiting(environment, tenant, before, limit)
        window.forgotten, window.doubtful = len(found) == limit, False
        window.queue.extend(_all_offered(environment, [each for each in found if not window.holds(each["_id"])]))


def _offered(environment: str, document: Document) -> Offered:
    event = accepted_event("sandbox" if environment == "sandbox" else "live", document)
    return Offered(environment, event, document.get("traceparent", ""))


def _all_offered(environment: str, documents: Iterable[Document]) -> list[Offered]:
    """A document that makes no event is a bug, and must not keep the others back; its deadline ends it."""
    offered = []
    for document in documents:
        try:
            offered.append(_offered(environment, document))
        except Exception:
            log.exception("mutation.unpublishable", mutation=document["_id"])
    return offered
