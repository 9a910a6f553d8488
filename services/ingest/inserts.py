"""Group commit: inserts that arrive while one is under way go together in the next one."""

import asyncio
from enum import Enum
from typing import Any, Final

import pymongo
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from shared.errors import DependencyUnavailable
from shared.ledger import Document, translated
from shared.limits import MIB

BATCH: Final = 64
BATCH_BYTES: Final = 4 * MIB  # of inline payloads
Waiting = tuple[Document, asyncio.Future[Any]]


class Inserted(Enum):
    """What became of one insert."""

    DONE = "it is there, acknowledged by the majority"
    KEY_TAKEN = "another document has the tenant's key"
    PLACE_TAKEN = "another document has the sequence in one of the records"


class GroupedInserts:
    """Inserts into one collection; a failure of one document is no failure of its neighbours."""

    def __init__(self, collection: AsyncCollection[Document], seconds: float) -> None:
        self._collection, self._seconds = collection, seconds
        self._waiting: list[Waiting] = []
        self._flusher: asyncio.Task[None] | None = None

    async def insert(self, document: Document) -> Inserted:
        """Insert one document. Raises DependencyUnavailable when it is unknown whether it is there."""
        future: asyncio.Future[Inserted] = asyncio.get_running_loop().create_future()
        self._waiting.append((document, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                results = await self._insert([document for document, _ in group])
            except Exception as error:
                if isinstance(error, DependencyUnavailable):
                    # Who waits behind an absence shares it: each group in its turn would meet it as long again.
                    group, self._waiting = group + self._waiting, []
                    results = [error] * len(group)
                else:
                    results = await self._one_by_one(group, error)
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result) if isinstance(result, Inserted) else future.set_exception(result)

    async def _one_by_one(self, group: list[Waiting], error: Exception) -> list[Inserted | Exception]:
        """A document that can't be encoded fails the whole call, also for its neighbours: each by itself then."""
        if len(group) == 1:
            return [error]
        results: list[Inserted | Exception] = []
        for document, _ in group:
            try:
                results += await self._insert([document])
            except DependencyUnavailable as away:
                return results + [away] * (len(group) - len(results))
            except Exception as alone:
                results.append(alone)
        return results

    def _next_group(self) -> list[Waiting]:
        """The oldest, so few that nobody waits long for the payloads of others."""
        weight = count = 0
        for document, _ in self._waiting[:BATCH]:
            weight += sum(len(entry.get("data", b"")) for entry in document.get("files", {}).values())
            count += 1
            if weight >= BATCH_BYTES:
                break
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

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


def _refusal(found: dict[str, Any]) -> Inserted | Exception:
    index = found.get("keyPattern") or {}
    if "_id" in index:  # the driver repeated an insert that had arrived: ids are ours alone
        return Inserted.DONE
    if "places" in index:
        return Inserted.PLACE_TAKEN
    if "key" in index:
        return Inserted.KEY_TAKEN
    return RuntimeError(f"insert refused with code {found.get('code')}")
