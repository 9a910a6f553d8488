"""Lists over MongoDB: pages of records and of attachments, and records by what they are found by; all of one tenant."""

from collections.abc import Sequence

from pymongo import DESCENDING

from shared.ledger import Database, Document, translated
from shared.limits import ATTACHMENTS_LISTED

TIMES = ("version", "createdAt", "updatedAt")
HIDDEN = {"tenant": 0, "expireAt": 0, "search": 0}


class MongoLists:
    """The collections that storage writes, in pages."""

    def __init__(self, databases: dict[str, Database]) -> None:
        self._databases = databases

    async def records(
        self,
        environment: str,
        tenant: str,
        record_type: str,
        before: str | None,
        most: int,
        names: Sequence[str] | None,
    ) -> list[Document]:
        """Records with ids smaller than `before`, the largest first; of their fields those in `names`, or all."""
        query: Document = {"tenant": tenant, "type": record_type, "removedAt": None}
        if before:
            query["_id"] = {"$lt": before}
        shown = HIDDEN if names is None else dict.fromkeys([*TIMES, *(f"fields.{name}" for name in names)], 1)
        async with translated():
            found = self._databases[environment].records.find(query, shown)
            return await found.sort("_id", DESCENDING).limit(most).to_list()

    async def records_by_key(
        self, environment: str, tenant: str, record_type: str, key: str, most: int
    ) -> list[Document]:
        """Records with this key of shared/search.py, newest first."""
        query = {"search": key, "tenant": tenant, "type": record_type, "removedAt": None}
        async with translated():
            found = self._databases[environment].records.find(query, HIDDEN)
            return await found.sort("_id", DESCENDING).limit(most).to_list()

    async def attachments(
        self, environment: str, tenant: str, owners: Sequence[str], kind: str | None, skip: int, most: int
    ) -> tuple[list[Document], int]:
        """Live attachments, newest first, that all of `owners` (`tenant/type/id`) own; and how many there are.

        Counting ends at ATTACHMENTS_LISTED.
        """
        query: Document = {"tenant": tenant, "removedAt": None}
        if owners:
            # One plain equality, so that an index is used everywhere; the rest says that the owners still own it.
            query["owners.record"] = owners[0]
            query["owners"] = {"$all": [{"$elemMatch": {"record": owner, "removedAt": None}} for owner in owners]}
        if kind:
            query["type"] = kind
        collection = self._databases[environment].attachments
        async with translated():
            page = await collection.find(query, HIDDEN).sort("_id", DESCENDING).skip(skip).limit(most).to_list()
            if 0 < len(page) < most or (not page and not skip):
                return page, skip + len(page)
            return page, await collection.count_documents(query, limit=ATTACHMENTS_LISTED)
