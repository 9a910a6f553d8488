"""MongoDB for resets: what a tenant has in the sandbox, in pages, and how it goes. Each step may be repeated."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Final

from pymongo import UpdateOne

from services.storage.decision import place_name
from services.storage.effects import without_owner
from shared import ledger
from shared.ledger import LANES, OPEN, OWED, Client, Document, translated

PAGE: Final = 200


class MongoBelongings:
    """One tenant's share of the sandbox, as far as it was accepted before a time. Raises DependencyUnavailable."""

    def __init__(self, client: Client) -> None:
        self._sandbox = ledger.databases(client)["sandbox"]

    async def open_mutations(self, tenant: str, before: datetime, below: str | None) -> list[Document]:
        """(id, status) of open mutations, the youngest first: a page of those below this id."""
        found: list[Document] = []
        mine: Document = {"tenant": tenant, "createdAt": {"$lt": before}} | ({"_id": {"$lt": below}} if below else {})
        async with translated():
            for lane in LANES:
                of_lane = self._sandbox.mutations.find({"lane": lane} | mine, {"status": 1}).sort("_id", -1)
                found += await of_lane.limit(PAGE).to_list()
        found.sort(key=lambda each: str(each["_id"]), reverse=True)
        return found[:PAGE]

    async def calls_to_come(self, tenant: str, before: datetime) -> bool:
        """Whether an outcome still waits for the notifier, or a callback for its first attempt."""
        owed = {"lane": OWED, "tenant": tenant, "createdAt": {"$lt": before}}
        unattempted = {"status": "pending", "tenant": tenant, "attempt": 0}
        async with translated():
            if await self._sandbox.mutations.find_one(owed, {"_id": 1}):
                return True
            async for ids in pages(self._sandbox.deliveries.find(unattempted, {"_id": 1})):
                found = self._sandbox.mutations.find({"_id": {"$in": [each["_id"] for each in ids]}}, {"createdAt": 1})
                if any([each["createdAt"] < before async for each in found]):
                    return True
        return False

    async def drop_records(self, tenant: str, before: datetime, now: datetime) -> None:
        """Records, and attachments whose last owner goes with them, become tombstones.

        A kill in between leaves records alive whose attachments are gone: they are found again.
        """
        mine = {"tenant": tenant, "createdAt": {"$lt": before}, "removedAt": None}
        gone = {"$set": {"removedAt": now}, "$unset": {"fields": "", "search": "", "updatedAt": ""}}
        async with translated():
            async for page in pages(self._sandbox.records.find(mine, {"type": 1})):
                await self._disown(tenant, page)
                await self._sandbox.records.update_many({"_id": {"$in": [each["_id"] for each in page]}}, gone)

    async def forget_records(self, tenant: str, removed_before: datetime) -> None:
        """Delete old tombstones. Till then they keep a worker that slept from bringing a record back."""
        mine = {"tenant": tenant, "removedAt": {"$lt": removed_before}}
        async with translated():
            async for page in pages(self._sandbox.records.find(mine, {"type": 1})):
                await self._disown(tenant, page)
                await self._sandbox.records.delete_many({"_id": {"$in": [each["_id"] for each in page]}})

    async def drop_uploads(self, tenant: str, before: datetime, now: datetime) -> list[str]:
        """End temporary uploads that no open mutation has claimed; the keys of their objects."""
        uploads, keys = self._sandbox.uploads, []
        mine = {"tenant": tenant, "createdAt": {"$lt": before}}
        ended = {"$set": {"endedAt": now, "end": "expired"}}
        async with translated():
            async for page in pages(uploads.find(mine, {"claimedBy": 1})):
                claims = {each["claimedBy"] for each in page if each.get("claimedBy")}
                held = await self._open(claims)
                free = [each for each in page if each.get("claimedBy") not in held]
                for each in free:  # only while nobody else has claimed it since
                    await uploads.update_one({"_id": each["_id"], "claimedBy": each.get("claimedBy")}, ended)
                over = uploads.find({"_id": {"$in": [each["_id"] for each in free]}}, {"key": 1, "endedAt": 1})
                keys += [each["key"] async for each in over if each.get("endedAt") and each.get("key")]
        return keys

    async def forget_uploads(self, tenant: str, before: datetime) -> None:
        """Delete the documents of uploads that have ended."""
        mine = {"tenant": tenant, "createdAt": {"$lt": before}}
        async with translated():
            async for page in pages(self._sandbox.uploads.find(mine, {"endedAt": 1})):
                ids = [each["_id"] for each in page if each.get("endedAt")]
                await self._sandbox.uploads.delete_many({"_id": {"$in": ids}})

    async def ended_of(self, tenant: str, before: datetime, ids: Iterable[str]) -> set[str]:
        """Which of these mutations are the tenant's, have ended, and were accepted before this time."""
        async with translated():
            found = self._sandbox.mutations.find(
                {"_id": {"$in": list(ids)}}, {"tenant": 1, "createdAt": 1, "status": 1}
            )
            return {
                each["_id"]
                async for each in found
                if each["tenant"] == tenant and each["createdAt"] < before and each["status"] not in OPEN
            }

    async def forget_mutations(self, tenant: str, before: datetime) -> None:
        """Delete what has ended, heads of arrays too; before it its callbacks, which are found by it."""
        mine = {"tenant": tenant, "createdAt": {"$lt": before}, "status": {"$nin": list(OPEN)}}
        async with translated():
            # After the end the lane is `owed`, then none; none is a value like any other in the index.
            for lane in (None, OWED):
                async for page in pages(self._sandbox.mutations.find({"lane": lane} | mine, {"_id": 1})):
                    ids = [each["_id"] for each in page]
                    await self._sandbox.attempts.delete_many({"delivery": {"$in": ids}})
                    await self._sandbox.deliveries.delete_many({"_id": {"$in": ids}})
                    await self._sandbox.mutations.delete_many({"_id": {"$in": ids}})

    async def _disown(self, tenant: str, records: list[Document]) -> None:
        places = {place_name(tenant, {"type": each["type"], "id": each["_id"]}) for each in records}
        found = self._sandbox.attachments.find({"owners.record": {"$in": sorted(places)}}, {"owners": 1})
        async for page in pages(found):
            losses = [
                UpdateOne({"_id": each["_id"]}, without_owner(owner["record"]))
                for each in page
                for owner in each["owners"]
                if owner["record"] in places and owner["removedAt"] is None
            ]
            if losses:
                await self._sandbox.attachments.bulk_write(losses)

    async def _open(self, ids: set[str]) -> set[str]:
        if not ids:
            return set()
        found = self._sandbox.mutations.find({"_id": {"$in": sorted(ids)}}, {"status": 1})
        return {each["_id"] async for each in found if each["status"] in OPEN}


async def pages(found: AsyncIterator[Document]) -> AsyncIterator[list[Document]]:
    """What a cursor finds, so many at once."""
    page: list[Document] = []
    async for each in found:
        page.append(each)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
