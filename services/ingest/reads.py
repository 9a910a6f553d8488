"""Read side over MongoDB: records, attachments, deliveries; every query names the tenant."""

from typing import Any

from pymongo import ASCENDING

from shared.ledger import OPEN, Database, translated

NO_FIELDS = {"tenant": 0, "expireAt": 0, "search": 0}


class MongoReads:
    """The collections that other services write, as ingest shows them."""

    def __init__(self, databases: dict[str, Database]) -> None:
        self._databases = databases

    async def record(self, environment: str, tenant: str, record_type: str, record_id: str) -> dict[str, Any] | None:
        """The record's document, unless it was erased."""
        query = {"_id": record_id, "tenant": tenant, "type": record_type, "removedAt": None}
        async with translated():
            return await self._databases[environment].records.find_one(query, NO_FIELDS)

    async def attachments(self, environment: str, record: str) -> list[dict[str, Any]]:
        """Live attachments that `tenant/type/id` owns, oldest first (ids grow with time)."""
        query = {
            "owners.record": record,  # a plain equality, so that an index is used everywhere
            "owners": {"$elemMatch": {"record": record, "removedAt": None}},
            "tenant": record.partition("/")[0],
            "removedAt": None,
        }
        async with translated():
            found = self._databases[environment].attachments.find(query, NO_FIELDS).sort("_id", ASCENDING)
            return [document async for document in found]

    async def attachment(self, environment: str, tenant: str, attachment_id: str) -> dict[str, Any] | None:
        """One live attachment."""
        query = {"_id": attachment_id, "tenant": tenant, "removedAt": None}
        async with translated():
            return await self._databases[environment].attachments.find_one(query, NO_FIELDS)

    async def pending_key(self, environment: str, tenant: str, attachment_id: str) -> str | None:
        """The idempotency key of the open mutation that brings this file."""
        query = {"fileIds": attachment_id, "tenant": tenant, "status": {"$in": list(OPEN)}}
        async with translated():
            document = await self._databases[environment].mutations.find_one(query, {"key": 1})
        return document.get("key") if document else None

    async def deliveries(self, environment: str, tenant: str, mutation_ids: list[str]) -> dict[str, dict[str, Any]]:
        """By mutation id: the delivery's document, with its attempts in order as `attempts`."""
        database = self._databases[environment]
        async with translated():
            found = database.deliveries.find({"_id": {"$in": mutation_ids}, "tenant": tenant}, NO_FIELDS)
            by_id: dict[str, dict[str, Any]] = {
                document["_id"]: document | {"attempts": []} async for document in found
            }
            if by_id:
                attempts = database.attempts.find({"delivery": {"$in": list(by_id)}}).sort("n", ASCENDING)
                async for attempt in attempts:
                    by_id[attempt["delivery"]]["attempts"].append(attempt)
        return by_id
