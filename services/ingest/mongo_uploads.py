"""MongoDB for temporary uploads: what a tenant has unassigned, and the documents of what came."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from services.ingest.uploads import Usage
from shared.ledger import Database, Document, translated
from shared.uploads import UploadDocument, alive


class MongoUploads:
    """The collection `uploads`; every query names the tenant, or ids that nobody else knows yet."""

    def __init__(self, databases: dict[str, Database]) -> None:
        self._databases = databases

    async def usage(self, environment: str, tenant: str, now: datetime) -> Usage:
        """What of this tenant is alive."""
        group: Document = {
            "_id": None, "files": {"$sum": 1}, "bytes": {"$sum": "$size"}, "next": {"$min": "$expiresAt"}
        }  # fmt: skip
        # The tenant's index answers the first stage; the rest is filtered.
        stages: list[Document] = [
            {"$match": {"tenant": tenant, "endedAt": None}},
            {"$match": {"$expr": alive(now)}},
            {"$group": group},
        ]
        async with translated():
            found = await (await self._databases[environment].uploads.aggregate(stages)).to_list()
        return Usage(found[0]["files"], found[0]["bytes"], found[0]["next"]) if found else Usage(0, 0, None)

    async def insert(self, environment: str, documents: Sequence[UploadDocument]) -> None:
        """Enter what one request brought. Raises DependencyUnavailable when it is not known to be there."""
        async with translated():
            await self._databases[environment].uploads.insert_many([cast(Document, one) for one in documents])

    async def forget(self, environment: str, ids: Sequence[str]) -> None:
        """Delete what there is of a request that failed."""
        async with translated():
            await self._databases[environment].uploads.delete_many({"_id": {"$in": list(ids)}})

    async def find(self, environment: str, tenant: str, upload_id: str, now: datetime) -> dict[str, Any] | None:
        """One that is alive."""
        stages: list[Document] = [
            {"$match": {"_id": upload_id, "tenant": tenant, "endedAt": None}},
            {"$match": {"$expr": alive(now)}},
            {"$unset": "tenant"},
        ]
        async with translated():
            found = await (await self._databases[environment].uploads.aggregate(stages)).to_list()
        return found[0] if found else None
