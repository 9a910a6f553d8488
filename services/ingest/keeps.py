"""MongoDB for assigns: temporary uploads that must not expire under an accepted mutation (design §2, loose ends)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection

from services.ingest.groups import Groups
from shared.ledger import Database, Document, translated
from shared.limits import UPLOAD_LONGEST_SECONDS
from shared.uploads import alive

LONGEST: Final = {"$add": ["$createdAt", UPLOAD_LONGEST_SECONDS * 1000]}
UPLOADS: Final = 64  # with the assign that brings it so far, a call ends: it takes as long as a group of inserts


class MongoKeeps:
    """Raises `keepUntil` of uploads that are alive and free; what has expired stays expired."""

    def __init__(self, databases: dict[str, Database]) -> None:
        self._groups = {name: _updates(one.uploads) for name, one in databases.items()}

    async def keep(self, environment: str, tenant: str, uploads: Sequence[str], until: datetime) -> None:
        """Let none of the tenant's free uploads among these expire before this time (72 h after its upload at most)."""
        free = {"tenant": tenant, "claimedBy": None, "endedAt": None}
        longer = {"$max": ["$keepUntil", {"$min": [until, LONGEST]}]}
        raised = [{"$set": {"keepUntil": {"$cond": [alive(datetime.now(UTC)), longer, "$keepUntil"]}}}]
        await self._groups[environment].call([UpdateOne({"_id": name} | free, raised) for name in uploads])


def _updates(uploads: AsyncCollection[Document]) -> Groups[list[UpdateOne], None]:
    async def together(assigns: list[list[UpdateOne]]) -> list[Exception | None]:
        async with translated():
            await uploads.bulk_write([update for assign in assigns for update in assign], ordered=False)
        return [None] * len(assigns)

    return Groups(together, weight=len, heaviest=UPLOADS)
