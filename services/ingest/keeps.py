"""MongoDB for assigns: temporary uploads that must not expire under an accepted mutation (design §2, loose ends)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import UpdateOne

from shared.ledger import Database, translated
from shared.limits import UPLOAD_LONGEST_SECONDS

LONGEST: Final = {"$add": ["$createdAt", UPLOAD_LONGEST_SECONDS * 1000]}


class MongoKeeps:
    """Raises `keepUntil` of uploads that are alive and free; what has expired stays expired."""

    def __init__(self, databases: dict[str, Database]) -> None:
        self._databases = databases

    async def keep(self, environment: str, tenant: str, uploads: Sequence[str], until: datetime) -> None:
        """Let none of the tenant's free uploads among these expire before this time (72 h after its upload at most)."""
        now = datetime.now(UTC)
        alive = {"$or": [{"expiresAt": {"$gt": now}}, {"keepUntil": {"$gt": now}}]}
        free: dict[str, Any] = {"tenant": tenant, "claimedBy": None, "endedAt": None} | alive
        raised = [{"$set": {"keepUntil": {"$max": ["$keepUntil", {"$min": [until, LONGEST]}]}}}]
        async with translated():
            await self._databases[environment].uploads.bulk_write(
                [UpdateOne({"_id": name} | free, raised) for name in uploads], ordered=False
            )
