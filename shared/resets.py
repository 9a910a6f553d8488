"""Requests to empty a tenant's sandbox: ingest writes them, storage carries them out."""

from datetime import datetime
from typing import Final, TypedDict

from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from shared.ledger import DATABASES, Client, open_database, translated

OPEN: Final = {"completedAt": None}


class Reset(TypedDict):
    """A document of `resets`; its `_id` is the tenant. Everything accepted before `requestedAt` goes; times are UTC."""

    requestedAt: datetime
    completedAt: datetime | None


class Resets:
    """The latest request of each tenant, in the sandbox's database. Raises DependencyUnavailable."""

    def __init__(self, client: Client) -> None:
        self._resets = open_database(client, DATABASES["sandbox"]).resets

    async def request(self, tenant: str, at: datetime) -> None:
        """Ask for a reset as of this time; void when one was asked for as of the same time or later."""
        asked = Reset(requestedAt=at, completedAt=None)
        async with translated():
            try:
                earlier = {"_id": tenant, "requestedAt": {"$lt": at}}
                await self._resets.update_one(earlier, {"$set": asked}, upsert=True)
            except DuplicateKeyError:
                return  # it is there and not earlier, so the upsert tried to insert it

    async def latest(self, tenant: str) -> Reset | None:
        """The tenant's latest request."""
        async with translated():
            found = await self._resets.find_one({"_id": tenant})
        return Reset(requestedAt=found["requestedAt"], completedAt=found["completedAt"]) if found else None

    async def open(self) -> dict[str, datetime]:
        """By tenant: as of when its sandbox is to be emptied."""
        async with translated():
            return {each["_id"]: each["requestedAt"] async for each in self._resets.find(OPEN)}

    async def complete(self, tenant: str, requested: datetime, now: datetime) -> None:
        """Tell that it is done; void when another request has come since."""
        done = {"$set": {"completedAt": now}}
        async with translated():
            await self._resets.update_one({"_id": tenant, "requestedAt": requested} | OPEN, done)

    async def create_indexes(self) -> None:
        """Safe to repeat."""
        async with translated():
            await self._resets.create_indexes([IndexModel([("completedAt", ASCENDING)], name="open")])
