"""MongoDB for the relay: which mutations wait, how many are under way, which stand still."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from shared import ledger
from shared.ledger import ACCEPTED, OPEN, Client, Document, translated
from shared.outbox import PROJECTION

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Of each file only its URL: the inline payload stays where it is.
URL_ONLY: Final[Document] = {"k": "$$file.k", "v": {"url": "$$file.v.url"}}
URL_SOURCES: Final[Document] = {
    "$arrayToObject": {"$map": {"input": {"$objectToArray": {"$ifNull": ["$files", {}]}}, "as": "file", "in": URL_ONLY}}
}


class MongoOutbox:
    """The ledger as the queue behind Kafka."""

    def __init__(self, client: Client) -> None:
        self._databases: dict[str, ledger.Database] = ledger.databases(client)

    async def waiting_tenants(self, environment: str) -> list[str]:
        """Tenants with mutations that were never published."""
        async with translated():
            query = {"status": ACCEPTED, "published.at": None}
            return [str(name) for name in await self._databases[environment].mutations.distinct("tenant", query)]

    async def waiting(self, environment: str, tenant: str, limit: int) -> list[Document]:
        """A tenant's mutations that were never published, the oldest first."""
        return await self._read(environment, {"status": ACCEPTED, "published.at": None, "tenant": tenant}, limit)

    async def under_way(self, environment: str, tenant: str) -> int:
        """How many of a tenant's mutations are published, unfinished and not parked."""
        query = {"status": {"$in": list(OPEN)}, "published.at": {"$gte": EPOCH}, "tenant": tenant, "parked": None}
        async with translated():
            return await self._databases[environment].mutations.count_documents(query)

    async def finished(self, environment: str, tenant: str, seconds: float) -> int:
        """How many of a tenant's mutations ended in the last seconds."""
        since = datetime.now(UTC) - timedelta(seconds=seconds)
        async with translated():
            query = {"tenant": tenant, "endedAt": {"$gt": since}}
            return await self._databases[environment].mutations.count_documents(query)

    async def mark_published(self, environment: str, ids: Iterable[str]) -> None:
        """Record an acknowledged publish: its time, and one more."""
        count = {"$add": [{"$ifNull": ["$published.count", 0]}, 1]}
        change = [{"$set": {"published": {"at": "$$NOW", "count": count}}}]
        async with translated():
            await self._databases[environment].mutations.update_many({"_id": {"$in": list(ids)}}, change)

    async def unfinished(self, environment: str, published_before: datetime, limit: int) -> list[Document]:
        """Published, open mutations, the least recently published first."""
        query = {"status": {"$in": list(OPEN)}, "published.at": {"$gte": EPOCH, "$lt": published_before}}
        return await self._read(environment, query, limit, sort="published.at")

    async def by_id(self, environment: str, ids: Iterable[str]) -> list[Document]:
        """These mutations, whatever their state."""
        names = list(ids)
        return await self._read(environment, {"_id": {"$in": names}}, len(names))

    async def smallest_open(self, environment: str, records: Iterable[str]) -> dict[str, tuple[int, str]]:
        """See shared.ledger.smallest_open."""
        return await ledger.smallest_open(self._databases[environment], records)

    async def _read(self, environment: str, query: Document, limit: int, sort: str = "_id") -> list[Document]:
        stages: list[Document] = [
            {"$match": query},
            {"$project": PROJECTION | {"files": URL_SOURCES}},
            {"$sort": {sort: 1}},
            {"$limit": max(limit, 1)},
        ]
        async with translated():
            return await (await self._databases[environment].mutations.aggregate(stages)).to_list()
