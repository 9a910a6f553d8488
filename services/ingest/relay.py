"""From the ledger to Kafka: at once in the background, later where Kafka is away or the tenant's window is full.

The ledger is the queue: whatever is dropped here (a kill, a full queue, a failed publish) is found there again.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

import structlog

from services.ingest.windows import RECOUNT_SECONDS, Counts, Windows
from shared import topics
from shared.broker import Outgoing
from shared.errors import DependencyUnavailable
from shared.events import MutationAccepted
from shared.ledger import Document
from shared.observability import next_traceparent
from shared.outbox import accepted_event

log = structlog.get_logger()
QUEUE: Final = 2000
BATCH: Final = 100
SCAN_SECONDS: Final = 2.0
ENVIRONMENTS: Final = ("live", "sandbox")
Offered = tuple[str, str, MutationAccepted, str]  # environment, mutation id, event, traceparent


class Outbox(Counts, Protocol):
    """What the relay asks the ledger; see MongoOutbox."""

    async def waiting_tenants(self, environment: str) -> list[str]: ...
    async def waiting(self, environment: str, tenant: str, limit: int) -> list[Document]: ...
    async def mark_published(self, environment: str, ids: Iterable[str]) -> None: ...
    async def mark_published_again(self, environment: str, documents: Iterable[Document]) -> None: ...


class Publisher(Protocol):
    """The producer."""

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]: ...


class Relay:
    """`offer` never blocks and never fails; `run` and `scan` are endless jobs."""

    def __init__(self, outbox: Outbox, publisher: Publisher) -> None:
        self._outbox, self._publisher = outbox, publisher
        self._windows = Windows(outbox)
        self._queue: deque[Offered] = deque()
        self._published: list[Offered] = []  # acknowledged, not marked yet
        self._in_hand: set[str] = set()
        self._offered = asyncio.Event()

    def offer(self, environment: str, document: Any) -> None:
        """Publish soon, if the tenant's window has a place; otherwise it waits in the ledger."""
        if len(self._queue) >= QUEUE:
            self._windows.waits(environment, document["tenant"])
        elif self._windows.take(environment, document["tenant"]):
            self._queue.append(_offered(environment, document))
            self._in_hand.add(document["_id"])
            self._offered.set()

    async def run(self) -> None:
        """Publish what was offered, in batches."""
        while True:
            await self._offered.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not self._queue:
                self._offered.clear()
            self._published += await self.publish(batch)

    async def scan(self) -> None:
        """Twice a second give those that wait their fair turns; every few seconds look for forgotten ones."""
        rounds = 0
        while True:
            await asyncio.sleep(RECOUNT_SECONDS)
            try:
                await self._mark()
                if rounds % int(SCAN_SECONDS / RECOUNT_SECONDS) == 0:
                    await self._look()
                for environment, tenant in self._windows.waiting():
                    await self._turn(environment, tenant)
            except DependencyUnavailable as error:
                log.warning("relay.postponed", error=str(error))
            rounds += 1

    async def publish(self, batch: list[Offered]) -> list[Offered]:
        """Publish; only an acknowledged publish counts, the others wait in the ledger. Those that count."""
        results = await self._publisher.publish_many((topics.ACCEPTED, event, trace) for _, _, event, trace in batch)
        done = []
        for offered, error in zip(batch, results, strict=True):
            if error is None:
                done.append(offered)
            else:
                self._windows.waits(offered[0], offered[2].tenant)
                self._in_hand.discard(offered[1])
        return done

    async def publish_again(self, environment: str, documents: list[Document]) -> None:
        """Publish what is known to be lost; its place in the window it has already."""
        for start in range(0, len(documents), BATCH):
            batch = documents[start : start + BATCH]
            done = {name for _, name, _, _ in await self.publish([_offered(environment, each) for each in batch])}
            await self._outbox.mark_published_again(environment, [each for each in batch if each["_id"] in done])

    async def _mark(self) -> None:
        """Record what was published in the last half second. Most of it has ended by now, which costs no write.

        A kill before this leaves published mutations unmarked: they are published again, under the same ce_id.
        """
        published, self._published = self._published, []
        for environment in ENVIRONMENTS:
            names = [name for where, name, _, _ in published if where == environment]
            try:
                await self._outbox.mark_published(environment, names)
            except DependencyUnavailable:
                self._published += [each for each in published if each[0] == environment]
                raise
            self._in_hand -= set(names)

    async def _look(self) -> None:
        for environment in ENVIRONMENTS:
            for tenant in await self._outbox.waiting_tenants(environment):
                self._windows.waits(environment, tenant)

    async def _turn(self, environment: str, tenant: str) -> None:
        """Publish the oldest of a tenant's waiting mutations, as many as its window has places."""
        free = min(await self._windows.recount(environment, tenant), QUEUE)
        if not free:
            return
        found = await self._outbox.waiting(environment, tenant, free + len(self._in_hand))
        mine = [document for document in found if document["_id"] not in self._in_hand][:free]
        self._windows.published(environment, tenant, len(mine), left=len(mine) == free)
        for start in range(0, len(mine), BATCH):
            batch = [_offered(environment, document) for document in mine[start : start + BATCH]]
            self._published += await self.publish(batch)
        await self._mark()


def _offered(environment: str, document: Document) -> Offered:
    event = accepted_event("sandbox" if environment == "sandbox" else "live", document)
    return environment, document["_id"], event, next_traceparent(document.get("traceparent"))
