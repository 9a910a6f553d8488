"""Deliveries in MongoDB: entered once, claimed by lease in the database's time. Always in bulk.

While a delivery is leased its `nextAt` is the lease's end: whoever finds it due may take it, so a dead notifier's
work comes back by itself, and a poll never reads what is in somebody's hands.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo.errors import BulkWriteError

from services.notifier.dispatch import Due, Lane, NewDelivery
from shared.errors import DependencyUnavailable
from shared.ledger import Database, Document, translated

DUPLICATE: Final = 11000
CLOCK_SLACK: Final = timedelta(minutes=1)
LANES_EXCLUDED: Final = 100
# The embedded server takes any stored date for equal to a plain $$NOW, so it is converted.
PRESENT: Final = {"$toDate": {"$toLong": "$$NOW"}}
DUE: Final[dict[str, Any]] = {"status": "pending", "$expr": {"$lte": ["$nextAt", PRESENT]}}


class MongoDeliveries:
    """Adapter over `deliveries`; `holder` names this process in leases. Raises DependencyUnavailable."""

    def __init__(self, databases: Mapping[str, Database], holder: str, lease_seconds: float) -> None:
        self._databases, self._holder = databases, holder
        self._lease = timedelta(seconds=lease_seconds)

    async def insert(self, environment: str, deliveries: Sequence[NewDelivery]) -> set[str]:
        """Enter deliveries; the ids of those that were new. A repetition is void."""
        ids = [delivery.notice.mutation_id for delivery in deliveries]
        async with translated():
            try:
                await self._databases[environment].deliveries.insert_many(
                    [self._document(delivery) for delivery in deliveries], ordered=False
                )
            except BulkWriteError as error:
                failed = error.details["writeErrors"]
                if any(each["code"] != DUPLICATE for each in failed):
                    raise
                if error.details.get("writeConcernErrors"):
                    raise DependencyUnavailable("mongodb", "write concern") from error
                return set(ids) - {ids[each["index"]] for each in failed}
        return set(ids)

    async def due(self, environment: str, limit: int, crowded: Sequence[Lane]) -> list[Due]:
        """Up to `limit` deliveries whose time has come, the longest due first; none of crowded lanes."""
        # The plain bound only keeps the scan short (clocks may differ by a minute); what is due says the database.
        query: Document = DUE | {"nextAt": {"$lte": datetime.now(UTC) + CLOCK_SLACK}}
        if crowded:
            query["$nor"] = [{"tenant": lane.tenant, "host": lane.host} for lane in crowded[:LANES_EXCLUDED]]
        async with translated():
            found = self._databases[environment].deliveries.find(query, {"tenant": 1, "host": 1})
            documents = await found.sort("nextAt", 1).limit(limit).to_list()
        return [Due(document["_id"], Lane(document["tenant"], document["host"])) for document in documents]

    async def claim(self, environment: str, ids: Sequence[str]) -> dict[str, int]:
        """Lease what is still due; for each delivery that is ours now: how many attempts were made."""
        mine = {"leaseBy": self._holder, "leaseUntil": self._lease_end(), "nextAt": self._lease_end()}
        collection = self._databases[environment].deliveries
        async with translated():
            await collection.update_many(DUE | {"_id": {"$in": list(ids)}}, [{"$set": mine}])
            ours = {"_id": {"$in": list(ids)}, "leaseBy": self._holder, "status": "pending"}
            return {document["_id"]: document["attempt"] async for document in collection.find(ours, {"attempt": 1})}

    async def postpone(self, environment: str, ids: Sequence[str], seconds: float) -> None:
        """Put off what is still due, unattempted."""
        later = {"nextAt": {"$add": ["$$NOW", round(seconds * 1000)]}}
        async with translated():
            await self._databases[environment].deliveries.update_many(
                DUE | {"_id": {"$in": list(ids)}}, [{"$set": later}]
            )

    async def release(self, environment: str, ids: Sequence[str]) -> None:
        """Give leases of ours back: any notifier may take them up at once."""
        ours = {"_id": {"$in": list(ids)}, "leaseBy": self._holder, "status": "pending"}
        free = {"nextAt": "$$NOW", "leaseBy": None, "leaseUntil": None}
        async with translated():
            await self._databases[environment].deliveries.update_many(ours, [{"$set": free}])

    async def end_undeliverable(self, environment: str, ids: Sequence[str]) -> None:
        """End what has no ledger document or no URL any more."""
        ours = {"_id": {"$in": list(ids)}, "leaseBy": self._holder, "status": "pending"}
        ended = {"status": "gone", "endedAt": "$$NOW", "leaseBy": None, "leaseUntil": None, "nextAt": None}
        async with translated():
            await self._databases[environment].deliveries.update_many(ours, [{"$set": ended}])

    def _lease_end(self) -> Document:
        return {"$add": ["$$NOW", round(self._lease.total_seconds() * 1000)]}

    def _document(self, delivery: NewDelivery) -> Document:
        notice = delivery.notice
        until = notice.read_at + self._lease if delivery.leased else None
        return {
            "_id": notice.mutation_id,
            "tenant": notice.tenant,
            "status": "pending",
            "attempt": 0,
            "nextAt": until or notice.read_at + timedelta(seconds=delivery.pause),
            "leaseUntil": until,
            "leaseBy": self._holder if until else None,
            "host": delivery.lane.host,
            "createdAt": notice.read_at,
            "expireAt": notice.expire_at,
        }
