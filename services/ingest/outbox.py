"""MongoDB for the relay: which mutations wait, how many are under way, which stand still."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from pymongo import ASCENDING, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection

from shared import ledger, turns
from shared.ledger import BATCH, PARKED, REJECTED, WAITING, WORKING, Client, Document, files_with, translated
from shared.limits import KEPT_SECONDS
from shared.outbox import PROJECTION, publish_count

WITHOUT_PAYLOAD: Final[Document] = PROJECTION | {"files": files_with("url")}


class MongoOutbox:
    """The ledger as the queue behind Kafka."""

    def __init__(self, client: Client) -> None:
        self._databases: dict[str, ledger.Database] = ledger.databases(client)

    async def waiting_tenants(self, environment: str) -> list[str]:
        """Tenants with mutations that were never published."""
        async with translated():
            return [str(name) for name in await self._mutations(environment).distinct("tenant", {"lane": WAITING})]

    async def waiting(self, environment: str, tenant: str, before: datetime, limit: int) -> list[Document]:
        """A tenant's mutations that were never published and were accepted before this time, the oldest first."""
        found = await self._read(environment, {"lane": WAITING, "tenant": tenant}, limit)
        return [document for document in found if document["createdAt"] < before]

    async def lanes(self, environment: str, ids: Iterable[str]) -> dict[str, str]:
        """The lanes of these mutations, by id; those that have ended have none."""
        async with translated():
            found = self._mutations(environment).find({"_id": {"$in": list(ids)}}, {"lane": 1})
            return {document["_id"]: document["lane"] async for document in found if "lane" in document}

    async def under_way(self, environment: str, tenant: str) -> int:
        """How many of a tenant's mutations are marked published, unfinished and not parked."""
        async with translated():
            return await self._mutations(environment).count_documents({"lane": WORKING, "tenant": tenant})

    async def finished(self, environment: str, tenant: str, seconds: float) -> int:
        """How many of a tenant's mutations ended in the last seconds."""
        # What has ended expires so many days later; the index of expiries tells the latest ends.
        since = datetime.now(UTC) - timedelta(seconds=seconds) + timedelta(seconds=KEPT_SECONDS)
        async with translated():
            query = {"expireAt": {"$gt": since}, "tenant": tenant, "status": {"$nin": [BATCH, REJECTED]}}
            return await self._mutations(environment).count_documents(query)

    async def mark_published(self, environment: str, ids: Iterable[str]) -> None:
        """Record acknowledged publishes: from waiting to working. What has ended or is parked by now stays as it is."""
        now = datetime.now(UTC)
        change = {"$set": {"lane": WORKING, "published": {"at": now, "count": 1}}}
        await self._update(environment, [UpdateOne({"_id": name, "lane": WAITING}, change) for name in ids])

    async def mark_published_again(self, environment: str, documents: Iterable[Document]) -> None:
        """Record one more publish of mutations that stood still; void for what has ended by now."""
        now = datetime.now(UTC)
        await self._update(
            environment,
            [
                UpdateOne(
                    {"_id": each["_id"], "lane": each["lane"]},
                    {"$set": {"published": {"at": now, "count": publish_count(each) + 1}}},
                )
                for each in documents
            ],
        )

    async def working(self, environment: str, limit: int) -> list[Document]:
        """Open mutations that are marked as published and not parked, the least recently published first."""
        # No index has these times, and windows bound how many there are: what is sorted must not hold their payloads.
        stages: list[Document] = [
            {"$match": {"lane": WORKING}},
            {"$project": WITHOUT_PAYLOAD},
            {"$sort": {"published.at": 1}},
            {"$limit": max(limit, 1)},
        ]
        async with translated():
            return await (await self._mutations(environment).aggregate(stages)).to_list()

    async def parked(self, environment: str, after: str, limit: int) -> list[Document]:
        """Parked mutations behind this id, in the order of their ids."""
        return await self._read(environment, {"lane": PARKED, "_id": {"$gt": after}}, limit)

    async def by_id(self, environment: str, ids: Iterable[str]) -> list[Document]:
        """These mutations, whatever their state."""
        names = list(ids)
        return await self._read(environment, {"_id": {"$in": names}}, len(names))

    async def early_open(self, environment: str, records: Iterable[str]) -> dict[str, tuple[int, str]]:
        """See shared.turns.early_open."""
        return await turns.early_open(self._databases[environment], records)

    def _mutations(self, environment: str) -> AsyncCollection[Document]:
        return self._databases[environment].mutations

    async def _update(self, environment: str, operations: list[UpdateOne]) -> None:
        if operations:
            async with translated():
                await self._mutations(environment).bulk_write(operations, ordered=False)

    async def _read(self, environment: str, query: Document, limit: int) -> list[Document]:
        """The first by id. Indexes hold all that finds and sorts them, so no document is fetched but these."""
        async with translated():
            found = self._mutations(environment).find(query, WITHOUT_PAYLOAD).sort("_id", ASCENDING)
            return await found.limit(max(limit, 1)).to_list()
