"""MongoDB for assigns: temporary uploads that must not expire under an accepted mutation (design §2, loose ends)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pymongo import UpdateOne

from shared.ledger import Database, translated
from shared.limits import UPLOAD_LONGEST_SECONDS
from shared.uploads import alive

LONGEST: Final = {"$add": ["$createdAt", UPLOAD_LONGEST_SECONDS * 1000]}


class MongoKeeps:
    """Raises `keepUntil` of uploads that are alive and free; what has expired stays expired."""

    def __init__(self, databases: dict[str, Database]) -> None:
        self._databases = databases

    async def keep(self, environment: str, tenant: str, uploads: Sequence[str], until: datetime) -> None:
        """Let none of the tenant's free uploads among these expire before this time (72 h after its upload at most)."""
        free = {"tenant": tenant, "claimedBy": None} | alive(datetime.now(UTC))
        raised = [{"$set": {"keepUntil": {"$max": ["$keepUntil", {"$min": [until, LONGEST]}]}}}]
        async with translated():
            await self._databases[environment].uploads.bulk_write(
                [UpdateOne({"_id": name} | free, raised) for name in uploads], ordered=False
            )
