"""Mutations that stand still: ask the broker whether their event is lost, and only then publish it again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog
from prometheus_client import Counter

from shared.errors import DependencyUnavailable
from shared.ledger import APPLYING, OPEN, Document
from shared.metrics import PUBLISHED_AGAIN
from shared.outbox import publish_count, republish_pause
from shared.topics import ACCEPTED
from shared.turns import has_turn

STANDING_STILL = Counter("engine_applying_stands_still_total", "Decided mutations that had to be taken up again")
log = structlog.get_logger()
BATCH: Final = 500
ROUND_SECONDS: Final = 5.0
RELAY_LEASE: Final = "ingest.relay"


class Outbox(Protocol):
    """What is asked of the ledger; see MongoOutbox."""

    async def working(self, environment: str, limit: int) -> list[Document]: ...
    async def parked(self, environment: str, after: str, limit: int) -> list[Document]: ...
    async def by_id(self, environment: str, ids: Iterable[str]) -> list[Document]: ...
    async def early_open(self, environment: str, records: Iterable[str]) -> dict[str, tuple[int, str]]: ...


class LostEvents:
    """One round: note who stands still, wait until the pipeline has passed all there was, publish who still does."""

    def __init__(
        self,
        outbox: Outbox,
        pipeline_passed: Callable[[], Awaitable[bool]],
        publish: Callable[[str, list[Document]], Awaitable[None]],
    ) -> None:
        self._outbox, self._pipeline_passed, self._publish = outbox, pipeline_passed, publish
        self._page_after: dict[str, str] = {}

    async def round(self, environments: Iterable[str]) -> None:
        """Look once. Raises DependencyUnavailable."""
        suspects = {name: await self._suspects(name) for name in environments}
        if not any(suspects.values()) or not await self._pipeline_passed():
            return
        for environment, counts in suspects.items():
            found = await self._outbox.by_id(environment, counts)
            still = [each for each in found if each["status"] in OPEN and publish_count(each) == counts[each["_id"]]]
            lost = await self._standing(environment, still)
            if lost:
                self._report(lost)
                await self._publish(environment, lost)

    async def _suspects(self, environment: str) -> dict[str, int]:
        """Publish counts, by id, of what is published, open and not parked (or parked though it is its turn)."""
        now = datetime.now(UTC)
        found = await self._outbox.working(environment, BATCH) + await self._some_parked(environment)
        due = [each for each in found if now - _published_at(each) >= timedelta(seconds=_pause(each))]
        return {each["_id"]: publish_count(each) for each in await self._standing(environment, due)}

    async def _some_parked(self, environment: str) -> list[Document]:
        """A page of the parked ones each round: a long queue behind one record must not hide the others."""
        page = await self._outbox.parked(environment, self._page_after.get(environment, ""), BATCH)
        self._page_after[environment] = page[-1]["_id"] if len(page) == BATCH else ""
        return page

    async def _standing(self, environment: str, documents: list[Document]) -> list[Document]:
        parked = [each for each in documents if each.get("parked")]
        records = {place["record"] for each in parked for place in each["places"]}
        # What is published before its turn is parked again, which harms nobody; none whose turn has come is missed.
        early = await self._outbox.early_open(environment, records) if records else {}
        return [each for each in documents if not each.get("parked") or has_turn(each, early)]

    @staticmethod
    def _report(lost: list[Document]) -> None:
        log.warning("mutation.published_again", mutations=[each["_id"] for each in lost])
        PUBLISHED_AGAIN.labels(ACCEPTED).inc(len(lost))
        applying = [each["_id"] for each in lost if each["status"] == APPLYING]
        if applying:
            STANDING_STILL.inc(len(applying))
            log.error("mutation.applying_stands_still", mutations=applying)


async def watch(
    lost: LostEvents,
    hold: Callable[[], Awaitable[bool]],
    environments: Iterable[str],
    round_seconds: float = ROUND_SECONDS,
) -> None:
    """Round after round, while `hold` keeps the relay's lease."""
    names = tuple(environments)
    while True:
        await asyncio.sleep(round_seconds)
        try:
            if await hold():
                await lost.round(names)
        except DependencyUnavailable as error:
            log.warning("relay.postponed", error=str(error))
        except Exception:
            log.exception("relay.failed")


def _published_at(document: Document) -> datetime:
    """When it was last published; what was parked before its publish was recorded goes by its acceptance."""
    at: datetime = (document.get("published") or {}).get("at") or document["createdAt"]
    return at


def _pause(document: Document) -> float:
    return republish_pause(publish_count(document))
