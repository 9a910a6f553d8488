"""MongoDB for the backlog: counts that the index of lanes answers alone, and no more than so many."""

import uuid
from datetime import UTC, datetime
from typing import Final

from services.ingest.backlog import COUNTED, Lane
from shared.ledger import LANES, OWED, Client, Database, Document, databases, translated

NONE: Final = Lane(0, None)


class MongoBacklog:
    """Adapter over `mutations` and `deliveries`. Raises DependencyUnavailable."""

    def __init__(self, client: Client) -> None:
        self._databases: dict[str, Database] = databases(client)

    async def lanes(self, environment: str) -> dict[str, Lane]:
        """See Counts. Beyond COUNTED neither number nor age is exact."""
        return {name: await self._lane(environment, name) for name in (*LANES, OWED)}

    async def deliveries(self, environment: str) -> Lane:
        """See Counts. What is leased is due only when its lease runs out."""
        deliveries, pending = self._databases[environment].deliveries, {"status": "pending"}
        async with translated():
            size = await deliveries.count_documents(pending, limit=COUNTED)
            first = await deliveries.find_one(pending, {"nextAt": 1}, sort=[("nextAt", 1)])
        return Lane(size, first["nextAt"] if first else None)

    async def _lane(self, environment: str, lane: str) -> Lane:
        stages: list[Document] = [
            {"$match": {"lane": lane}},
            {"$limit": COUNTED},
            {"$project": {"_id": 1}},
            {"$group": {"_id": None, "count": {"$sum": 1}, "oldest": {"$min": "$_id"}}},
        ]
        async with translated():
            found = await (await self._databases[environment].mutations.aggregate(stages)).to_list()
        return Lane(found[0]["count"], accepted_at(found[0]["oldest"])) if found else NONE


def accepted_at(mutation_id: str) -> datetime | None:
    """The time that a UUIDv7 begins with (RFC 9562); None for the id of a rejected command, which tells none."""
    try:
        return datetime.fromtimestamp((uuid.UUID(mutation_id).int >> 80) / 1000, UTC)
    except ValueError:
        return None
