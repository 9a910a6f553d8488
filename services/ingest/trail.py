"""MongoDB for operators: mutations by any id, whatever their tenant. By id or by one indexed equality, never a scan."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Final

from pymongo import ASCENDING, DESCENDING

from services.ingest.record_types import RECORD_TYPES
from services.ingest.rejections import NO_KEY, is_rejection
from shared import turns
from shared.deliveries import WEBHOOK_PREFIX
from shared.ledger import BATCH, Database, Document, translated

FOUND: Final = 50
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ROW: Final = dict.fromkeys(
    ("tenant", "key", "claimedKey", "kind", "record", "outcome.record", "status", "createdAt", "endedAt", "members"), 1
)
# Neither the record's fields nor the files' bytes.
PAYLOAD: Final = {"fields": 0, "changes": 0, "decision.record": 0, "decision.change": 0}
Found = tuple[str, Document]  # environment, document


class MongoTrail:
    """Looks in both environments; `control` knows the tenants. Raises DependencyUnavailable."""

    def __init__(self, databases: Mapping[str, Database], control: Database) -> None:
        self._databases, self._control = databases, control

    async def search(self, sought: str) -> list[Found]:
        """Mutations with this id, key, record, file, upload or webhook id, newest first; at most FOUND.

        The head of an array stands for its members. A rejected command has taken no key: its id finds it.
        """
        places = await self._places(sought.lower()) if UUID.fullmatch(sought.lower()) else []
        found = await asyncio.gather(*(self._search(name, sought, places) for name in self._databases))
        both = [(name, each) for name, documents in zip(self._databases, found, strict=True) for each in documents]
        return sorted(both, key=lambda one: one[1]["createdAt"], reverse=True)[:FOUND]

    async def mutation(self, environment: str, mutation_id: str) -> Document | None:
        """The whole document, without the record's fields and the bytes of its files."""
        async with translated():
            found = await self._databases[environment].mutations.find_one({"_id": mutation_id}, PAYLOAD)
        for file in ((found or {}).get("files") or {}).values():
            file.pop("data", None)
        return found

    async def behind(self, environment: str, document: Document) -> str | None:
        """The open mutation that this one waits for; None: its turn has come."""
        records = [place["record"] for place in document.get("places", ())]
        smallest = await turns.smallest_open(self._databases[environment], records) if records else {}
        earlier = [
            smallest[place["record"]]
            for place in document.get("places", ())
            if smallest.get(place["record"], (place["sequence"],))[0] < place["sequence"]
        ]
        return min(earlier)[1] if earlier else None

    async def delivery(self, environment: str, mutation_id: str) -> Document | None:
        """A mutation's delivery, with its attempts in order as `attempts`."""
        database = self._databases[environment]
        async with translated():
            found = await database.deliveries.find_one({"_id": mutation_id})
            if found:
                made = database.attempts.find({"delivery": mutation_id}).sort("n", ASCENDING)
                found["attempts"] = await made.to_list()
        return found

    async def _search(self, environment: str, sought: str, places: list[str]) -> list[Document]:
        lower = sought.lower()
        queries: list[Document] = [{"_id": one} for one in _ids(sought)]
        queries.append({"key": NO_KEY + lower if is_rejection(lower) else sought})
        if UUID.fullmatch(lower):
            queries.append({"fileIds": lower})
        if places:
            queries.append({"places.record": {"$in": places} if places[1:] else places[0]})
        answers = await asyncio.gather(*(self._find(environment, query) for query in queries))
        found = {each["_id"]: each for answer in answers for each in answer}
        for head in [each for each in found.values() if each["status"] == BATCH]:
            members = await asyncio.gather(*(self._find(environment, {"_id": one}) for one in head["members"]))
            found |= {each["_id"]: each for answer in members for each in answer}
            del found[head["_id"]]
        return list(found.values())

    async def _find(self, environment: str, query: Document) -> list[Document]:
        async with translated():
            found = self._databases[environment].mutations.find(query, ROW).sort("_id", DESCENDING)
            return await found.limit(FOUND).to_list()

    async def _places(self, record_id: str) -> list[str]:
        """How the ledger may name a record with this id: of a tenant that has it, or of any while nobody does."""
        async with translated():
            owners: Iterable[tuple[str, str]] = []
            for database in self._databases.values():
                record = await database.records.find_one({"_id": record_id}, {"tenant": 1, "type": 1})
                owners = [*owners, *([(record["tenant"], record["type"])] if record else [])]
            if not owners:
                names = [each["_id"] async for each in self._control.tenants.find({}, {"_id": 1})]
                owners = [(tenant, kind) for tenant in names for kind in RECORD_TYPES]
        return [f"{tenant}/{kind}/{record_id}" for tenant, kind in owners]


def _ids(sought: str) -> list[str]:
    bare = sought.removeprefix(WEBHOOK_PREFIX)
    return list(dict.fromkeys([bare.lower(), sought]))
