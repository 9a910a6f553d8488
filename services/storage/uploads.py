"""MongoDB for temporary uploads: claims by compare-and-set, and what becomes of those that nobody assigns."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection

from services.storage.belongings import pages
from services.storage.decision import uploads_of
from services.storage.effects import upload_end
from shared import ledger
from shared.events import Environment
from shared.ledger import OPEN, Client, Document, translated
from shared.uploads import alive

FREE: Final[Document] = {"claimedBy": None, "endedAt": None}


class MongoUploads:
    """The uploads of both environments. Raises DependencyUnavailable."""

    def __init__(self, client: Client) -> None:
        self._databases = ledger.databases(client)

    async def claim(self, environment: Environment, mutations: Iterable[Document]) -> dict[str, Document]:
        """Claim what each mutation wants to assign, where it is free; all these uploads, by id, as they are then.

        A claim whose holder has ended without deciding for the upload is taken over: its holder can't decide any more.
        """
        wanted = [(name, mutation) for mutation in mutations for name in uploads_of(mutation)]
        names, now = [name for name, _ in wanted], datetime.now(UTC)
        await self._change(environment, [_claim(name, mutation, None, now) for name, mutation in wanted])
        found = await self._read(environment, names)
        left = await self._abandoned(environment, found.values(), {mutation["_id"] for _, mutation in wanted})
        if left:
            again = [_claim(name, mutation, left[name], now) for name, mutation in wanted if name in left]
            await self._change(environment, again)
            found = await self._read(environment, names)
        return found

    async def release_abandoned(self, environment: Environment) -> None:
        """Free what ended mutations have claimed in vain."""
        claimed: Document = {"endedAt": None, "claimedBy": {"$ne": None}}
        async with translated():
            async for page in pages(self._uploads(environment).find(claimed, {"claimedBy": 1})):
                left = await self._abandoned(environment, page, set())
                changes = [
                    UpdateOne({"_id": name, "claimedBy": holder, "endedAt": None}, {"$set": {"claimedBy": None}})
                    for name, holder in left.items()
                ]
                await self._change(environment, changes)

    async def expire(self, environment: Environment, now: datetime) -> list[str]:
        """Make tombstones of what is free and past both of its times; the keys of their objects.

        A kill after this leaves objects that no living upload names: the sweeper deletes them.
        """
        over = {"expiresAt": {"$lte": now}, "keepUntil": {"$not": {"$gt": now}}}
        async with translated():
            found = await self._uploads(environment).find(FREE | over, {"key": 1}).to_list()
        await self._change(
            environment, [UpdateOne({"_id": each["_id"]} | FREE | over, upload_end("expired", now)) for each in found]
        )
        ended = await self._read(environment, [each["_id"] for each in found])
        return [each["key"] for each in found if ended.get(each["_id"], {}).get("end") == "expired"]

    async def _abandoned(
        self, environment: Environment, uploads: Iterable[Document], besides: set[str]
    ) -> dict[str, str]:
        """Those of these uploads, with their holders, that are claimed by what is not open."""
        held = {each["_id"]: each["claimedBy"] for each in uploads if each.get("claimedBy") and not each.get("endedAt")}
        holders = set(held.values()) - besides
        if not holders:
            return {}
        async with translated():
            found = self._databases[environment].mutations.find({"_id": {"$in": sorted(holders)}}, {"status": 1})
            holders -= {each["_id"] async for each in found if each["status"] in OPEN}
        return {name: holder for name, holder in held.items() if holder in holders}

    async def _read(self, environment: Environment, ids: list[str]) -> dict[str, Document]:
        async with translated():
            found = self._uploads(environment).find({"_id": {"$in": ids}})
            return {document["_id"]: document async for document in found}

    async def _change(self, environment: Environment, changes: list[UpdateOne]) -> None:
        if changes:
            async with translated():
                await self._uploads(environment).bulk_write(changes)

    def _uploads(self, environment: Environment) -> AsyncCollection[Document]:
        return self._databases[environment].uploads


def _claim(name: str, mutation: Document, holder: str | None, now: datetime) -> UpdateOne:
    free = {"_id": name, "tenant": mutation["tenant"], "claimedBy": holder, "endedAt": None}
    return UpdateOne(free, [{"$set": {"claimedBy": {"$cond": [alive(now), mutation["_id"], "$claimedBy"]}}}])
