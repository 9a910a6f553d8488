"""MongoDB for operators: the callbacks of all tenants, and sending them again by hand."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from pymongo import ASCENDING, DESCENDING, UpdateOne

from shared.ledger import WRITE_CONCERN, Client, Database, Document, translated
from shared.limits import KEPT_SECONDS

STATUSES: Final = {"failed": ["exhausted", "gone"], "open": ["pending"], "delivered": ["delivered"]}
KEPT: Final = timedelta(seconds=KEPT_SECONDS)
# A delivered callback has no URL any more, one that ended with 410 or is about an erased record neither; what is leased
# is in somebody's hands.
SENDABLE: Final[Document] = {"status": {"$ne": "delivered"}, "url": {"$ne": None}, "leaseBy": None}


class Chosen(NamedTuple):
    """Which deliveries: of mutations that ended in a time (from, before), of a tenant, in a state; None: any."""

    environment: str
    tenant: str | None
    state: str | None
    since: datetime | None
    until: datetime | None

    def query(self) -> Document:
        """By the expiry, which tells the end of the mutation and has an index; the rest is filtered."""
        query: Document = {}
        if self.since or self.until:
            since = {"$gte": self.since + KEPT} if self.since else {}
            query["expireAt"] = since | ({"$lt": self.until + KEPT} if self.until else {})
        if self.state:
            query["status"] = _any_of(STATUSES[self.state])
        if self.tenant:
            query["tenant"] = self.tenant
        return query


class MongoResends:
    """Adapter over `deliveries` and `attempts`. Raises DependencyUnavailable."""

    def __init__(self, client: Client, databases: Mapping[str, Database]) -> None:
        self._client, self._databases = client, databases

    async def deliveries(self, chosen: Chosen, most: int) -> list[Document]:
        """Those with their attempts, the latest ended mutations first."""
        database = self._databases[chosen.environment]
        async with translated():
            found = await database.deliveries.find(chosen.query()).sort("expireAt", DESCENDING).limit(most).to_list()
            by_id: dict[str, Document] = {each["_id"]: each | {"attempts": []} for each in found}
            if by_id:
                attempts = database.attempts.find({"delivery": {"$in": list(by_id)}}).sort("n", ASCENDING)
                async for attempt in attempts:
                    by_id[attempt["delivery"]]["attempts"].append(attempt)
        return list(by_id.values())

    async def exhausted(self, chosen: Chosen, most: int) -> list[str]:
        """Ids of those that can be sent again, the longest ended mutations first."""
        query = chosen.query() | {"status": "exhausted", "url": {"$ne": None}}
        async with translated():
            found = self._databases[chosen.environment].deliveries.find(query, {"_id": 1})
            return [each["_id"] async for each in found.sort("expireAt", ASCENDING).limit(most)]

    async def sendable(self, environment: str, ids: Sequence[str]) -> list[str]:
        """Which of these can be sent now: exhausted ones whose URL is kept, and those that wait for their time."""
        wanted = {"url": 1, "leaseBy": 1}
        async with translated():
            found = await self._databases[environment].deliveries.find({"_id": {"$in": list(ids)}}, wanted).to_list()
        return [each["_id"] for each in found if each.get("url") and not each.get("leaseBy")]

    async def resend(self, environment: str, ids: Sequence[str]) -> int:
        """Have each attempted once more, now; how many will be.

        A compare-and-set each: what is delivered or in somebody's hands by now stays as it is. The attempt counts on,
        so an exhausted delivery that fails again is exhausted again.
        """
        namespace = f"{self._databases[environment].name}.deliveries"
        change = {"$set": {"status": "pending", "nextAt": datetime.now(UTC), "endedAt": None}}
        operations = [UpdateOne({"_id": name} | SENDABLE, change, namespace=namespace) for name in ids]
        if not operations:
            return 0
        async with translated():
            done = await self._client.bulk_write(operations, ordered=False, write_concern=WRITE_CONCERN)
        return done.matched_count


def _any_of(words: list[str]) -> object:
    return words[0] if len(words) == 1 else {"$in": words}
