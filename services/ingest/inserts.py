"""Inserts that arrive while one is under way go together in the next one."""

from enum import Enum
from typing import Any, Final

import pymongo
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from services.ingest.groups import Groups
from shared.errors import DependencyUnavailable
from shared.ledger import Document, translated
from shared.limits import MIB

GROUP_BYTES: Final = 4 * MIB  # of inline payloads


class Inserted(Enum):
    """What became of one insert."""

    DONE = "it is there, acknowledged by the majority"
    KEY_TAKEN = "another document has the tenant's key"
    PLACE_TAKEN = "another document has the sequence in one of the records"


class GroupedInserts:
    """Inserts into one collection; a failure of one document is no failure of its neighbours."""

    def __init__(self, collection: AsyncCollection[Document], seconds: float) -> None:
        self._collection, self._seconds = collection, seconds
        self._groups: Groups[Document, Inserted] = Groups(self._insert, _inline, GROUP_BYTES)

    async def insert(self, document: Document) -> Inserted:
        """Insert one document. Raises DependencyUnavailable when it is unknown whether it is there."""
        return await self._groups.call(document)

    async def _insert(self, documents: list[Document]) -> list[Inserted | Exception]:
        with pymongo.timeout(self._seconds):  # for both, so that a 503 comes in time
            return await self._insert_or_read(documents)

    async def _insert_or_read(self, documents: list[Document]) -> list[Inserted | Exception]:
        try:
            async with translated():
                await self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failed = {found["index"]: _refusal(found) for found in error.details["writeErrors"]}
            return [failed.get(index, Inserted.DONE) for index in range(len(documents))]
        except DependencyUnavailable as error:
            there = await self._read_again([document["_id"] for document in documents])
            return [Inserted.DONE if document["_id"] in there else error for document in documents]
        return [Inserted.DONE] * len(documents)

    async def _read_again(self, ids: list[str]) -> set[str]:
        """A write with unknown result is read again; what is not there yet stays unknown."""
        async with translated():
            return {found["_id"] async for found in self._collection.find({"_id": {"$in": ids}}, {"_id": 1})}


def _inline(document: Document) -> int:
    return sum(len(entry.get("data", b"")) for entry in document.get("files", {}).values())


def _refusal(found: dict[str, Any]) -> Inserted | Exception:
    index = found.get("keyPattern") or {}
    if "_id" in index:  # the driver repeated an insert that had arrived: ids are ours alone
        return Inserted.DONE
    if "places" in index:
        return Inserted.PLACE_TAKEN
    if "key" in index:
        return Inserted.KEY_TAKEN
    return RuntimeError(f"insert refused with code {found.get('code')}")
