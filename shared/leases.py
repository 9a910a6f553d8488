"""Leases by the database's clock: one replica does a job at a time. Nothing correct hangs on them; they save work."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from shared.ledger import Database, translated

# The embedded server takes any stored date for equal to a plain $$NOW, so it is converted before it is compared.
PRESENT: Final[Mapping[str, Any]] = {"$toDate": {"$toLong": "$$NOW"}}


class Leases:
    """Leases in `leases` of the control database: `{_id: name, holder, until}`."""

    def __init__(self, control: Database) -> None:
        self._leases = control.leases
        self._holder = str(uuid.uuid4())

    async def hold(self, name: str, seconds: float) -> bool:
        """Take or prolong the lease; False while another holder has it."""
        free = {"$or": [{"$lt": ["$until", PRESENT]}, {"$eq": ["$holder", self._holder]}]}
        until = {"$add": ["$$NOW", int(timedelta(seconds=seconds).total_seconds() * 1000)]}
        async with translated():
            try:
                result = await self._leases.update_one(
                    {"_id": name, "$expr": free}, [{"$set": {"holder": self._holder, "until": until}}], upsert=True
                )
            except DuplicateKeyError:  # it is there and not free: the upsert tried to insert it
                return False
        return result.matched_count == 1 or result.upserted_id is not None

    async def release(self, name: str) -> None:
        """Give the lease back, if it is ours."""
        async with translated():
            await self._leases.delete_one({"_id": name, "holder": self._holder})
