"""MongoDB for erasure: what ledger, callbacks and attachments still tell of a record, and how it goes."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from pymongo import UpdateOne

from services.storage.effects import KEPT_OF_FILES, without_owner
from shared import ledger
from shared.events import Environment
from shared.ledger import Client, Document, translated

PAGE: Final = 200  # what one write changes within the database's time, also on the embedded server


class MongoTraces:
    """The traces of a record, named `tenant/type/id`. Every write may be repeated. Raises DependencyUnavailable."""

    def __init__(self, client: Client) -> None:
        self._databases = ledger.databases(client)

    async def mutations_of(self, environment: Environment, place: str) -> list[Document]:
        """All mutations with a place in the record, in the order of their ids: id, kind, file ids."""
        wanted = {"kind": 1, "fileIds": 1}
        async with translated():
            found = self._databases[environment].mutations.find({"places.record": place}, wanted)
            return await found.sort("_id", 1).to_list()

    async def disown(self, environment: Environment, place: str, attachments: Iterable[str]) -> None:
        """Take the record away as owner; what has none left becomes a tombstone."""
        async with translated():
            for page in _pages(list(attachments)):
                losses = [UpdateOne({"_id": name}, without_owner(place)) for name in page]
                await self._databases[environment].attachments.bulk_write(losses)

    async def scrub(self, environment: Environment, place: str, mutations: Sequence[Document]) -> None:
        """Take everything personal out of the record's mutations and of their callbacks, except where to send those.

        Open ones behind the erasure end in their turn, and need nothing for that. A callback that is to come needs its
        URL: in the ledger while it is owed, in the delivery while that is pending.
        """
        database = self._databases[environment]
        async with translated():
            for page in _pages([each["_id"] for each in mutations]):
                await database.mutations.update_many({"_id": {"$in": page}}, SCRUBBED)
                await database.attempts.update_many({"delivery": {"$in": page}}, {"$set": {"answer": ""}})
                over = {"_id": {"$in": page}, "status": {"$ne": "pending"}}
                await database.deliveries.update_many(over, {"$set": {"url": None}})

    async def due(self, environment: Environment, before: datetime) -> dict[str, str]:
        """Erasures whose time for a second pass has come: the erased record, by the erasure's mutation id."""
        async with translated():  # few: each is gone after its second pass
            found = self._databases[environment].erasures.find({"at": {"$lt": before}})
            return {each["_id"]: each["place"] async for each in found}

    async def done(self, environment: Environment, erasure: str) -> None:
        """The second pass is over."""
        async with translated():
            await self._databases[environment].erasures.delete_one({"_id": erasure})


def _pages(ids: Sequence[str]) -> Iterator[list[str]]:
    for offset in range(0, len(ids), PAGE):
        yield list(ids[offset : offset + PAGE])


def _is_object(path: str) -> Document:
    return {"$eq": [{"$type": path}, "object"]}


_FILES: Final = {"$objectToArray": {"$ifNull": ["$files", {"$literal": {}}]}}
_BARE_FILE: Final = {"k": "$$file.k", "v": {part: f"$$file.v.{part}" for part in KEPT_OF_FILES}}
_NAMELESS: Final = {
    "$map": {
        "input": "$outcome.attachments",
        "as": "each",
        "in": {"$mergeObjects": ["$$each", {"filename": None}]},
    }
}
_EMPTY_PARCEL: Final = {"files": {"$literal": {}}, "failure": "$parked.failure"}
_BARE_OUTCOME: Final = {"$mergeObjects": ["$outcome", {"attachments": _NAMELESS}]}
SCRUBBED: Final[list[Document]] = [
    {
        "$set": {
            "files": {"$arrayToObject": {"$map": {"input": _FILES, "as": "file", "in": _BARE_FILE}}},
            "parked": {"$cond": [_is_object("$parked"), _EMPTY_PARCEL, "$parked"]},
            "outcome": {"$cond": [_is_object("$outcome"), _BARE_OUTCOME, "$outcome"]},
            "scrubbedAt": "$$NOW",
        }
    },
    {"$unset": ["fields", "changes"]},
]
