"""The adapter for the ledger: which mutations still want their files."""

from collections.abc import Mapping

from shared.ledger import OPEN, Database, translated


class MongoLedger:
    """Reads the status of many mutations at once, from the primary, with read concern majority."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    async def ended(self, environment: str, ids: list[str]) -> set[str]:
        """Those that are not open, also those the ledger does not hold. Raises DependencyUnavailable."""
        query = {"_id": {"$in": ids}, "status": {"$in": list(OPEN)}}
        async with translated():
            found = await self._databases[environment].mutations.find(query, {"_id": 1}).to_list()
        return set(ids) - {document["_id"] for document in found}
