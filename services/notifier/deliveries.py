"""Deliveries in MongoDB: entered once, claimed by lease in the database's time. Always in bulk.

While a delivery is leased its `nextAt` is the lease's end: whoever finds it due may take it, so a dead notifier's
work comes back by itself, and a poll never reads what is in somebody's hands.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.errors import BulkWriteError

from services.notifier.clock import DatabaseClock
from services.notifier.dispatch import Claimed, Due, Lane, NewDelivery
from shared.errors import DependencyUnavailable
from shared.ledger import Database, Document, translated

DUPLICATE: Final = 11000
UNLEASED: Final[dict[str, Any]] = {"leaseBy": None, "leaseUntil": None}


class RefusedWrite(Exception):
    """The database refused a write with these codes: a bug."""


def raise_refused(failed: Sequence[Document]) -> None:
    """Raise RefusedWrite unless all of these errors say that it is there already."""
    codes = [each["code"] for each in failed]
    if any(code != DUPLICATE for code in codes):
        # The driver's text would hold the documents, and so URLs and answers, in the logs.
        raise RefusedWrite(codes) from None


class MongoDeliveries:
    """Adapter over `deliveries`; `holder` names this process in leases. Raises DependencyUnavailable."""

    def __init__(
        self, databases: Mapping[str, Database], clock: DatabaseClock, holder: str, lease_seconds: float
    ) -> None:
        self._databases, self._clock, self._holder = databases, clock, holder
        self._lease = timedelta(seconds=lease_seconds)

    async def insert(self, environment: str, deliveries: Sequence[NewDelivery]) -> set[str]:
        """Enter deliveries; the ids of those that were new. A repetition is void."""
        ids = [delivery.notice.mutation_id for delivery in deliveries]
        now = await self._clock.now()
        documents = [self._document(delivery, now) for delivery in deliveries]
        async with translated():
            try:
                await self._databases[environment].deliveries.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                raise_refused(failed)
                if error.details.get("writeConcernErrors"):
                    raise DependencyUnavailable("mongodb", "write concern") from error
                return set(ids) - {ids[each["index"]] for each in failed}
        return set(ids)

    async def due(self, environment: str, limit: int, passed: int) -> list[Due]:
        """Up to `limit` deliveries whose time has come, the longest due first, after the `passed` first ones."""
        query = await self._due()  # nothing but what the index holds
        async with translated():
            found = self._databases[environment].deliveries.find(query, {"tenant": 1, "host": 1})
            documents = await found.sort("nextAt", 1).skip(passed).limit(limit).to_list()
        return [Due(document["_id"], Lane(document["tenant"], document["host"])) for document in documents]

    async def claim(self, environment: str, ids: Sequence[str]) -> dict[str, Claimed]:
        """Lease what is still due; the deliveries that are ours now."""
        until = await self._clock.now() + self._lease
        collection = self._databases[environment].deliveries
        lease = {"leaseBy": self._holder, "leaseUntil": until, "nextAt": until}
        still_due = await self._due(ids)
        async with translated():
            # The compare-and-set of each document is on `nextAt`: whoever comes second finds it moved.
            await collection.update_many(still_due, {"$set": lease})
            found = collection.find(self._ours(ids), {"attempt": 1, "url": 1})
            return {each["_id"]: Claimed(each["attempt"], each.get("url") or "") async for each in found}

    async def postpone(self, environment: str, ids: Sequence[str], seconds: float) -> None:
        """Put off what is still due, unattempted."""
        later = {"nextAt": await self._clock.now() + timedelta(seconds=seconds)}
        still_due = await self._due(ids)
        async with translated():
            await self._databases[environment].deliveries.update_many(still_due, {"$set": later})

    async def release(self, environment: str, ids: Sequence[str]) -> None:
        """Give leases of ours back: any notifier may take them up at once."""
        await self._set_ours(environment, ids, UNLEASED | {"nextAt": await self._clock.now()})

    async def end_undeliverable(self, environment: str, ids: Sequence[str]) -> None:
        """End what has no ledger document or no URL any more."""
        ended = {"status": "gone", "nextAt": None, "endedAt": await self._clock.now(), "url": None}
        await self._set_ours(environment, ids, UNLEASED | ended)

    async def _set_ours(self, environment: str, ids: Sequence[str], fields: Document) -> None:
        async with translated():
            await self._databases[environment].deliveries.update_many(self._ours(ids), {"$set": fields})

    async def _due(self, ids: Sequence[str] | None = None) -> Document:
        query: Document = {} if ids is None else {"_id": {"$in": list(ids)}}
        return query | {"status": "pending", "nextAt": {"$lte": await self._clock.now()}}

    def _ours(self, ids: Sequence[str]) -> Document:
        return {"_id": {"$in": list(ids)}, "status": "pending", "leaseBy": self._holder}

    def _document(self, delivery: NewDelivery, now: datetime) -> Document:
        until = now + self._lease if delivery.leased else None
        return {
            "_id": delivery.notice.mutation_id,
            "tenant": delivery.notice.tenant,
            "status": "pending",
            "attempt": 0,
            "nextAt": until or now + timedelta(seconds=delivery.pause),
            "leaseUntil": until,
            "leaseBy": self._holder if until else None,
            "host": delivery.lane.host,
            "url": delivery.notice.callback_url,
            "createdAt": now,
            "expireAt": delivery.notice.expire_at,
        }
