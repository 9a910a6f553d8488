"""The ledger as the notifier sees it: what callbacks are built from, and the debt that it clears. In bulk only."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

from services.notifier.dispatch import Notice
from shared.ledger import Database, Document, translated
from shared.limits import KEPT_SECONDS

PROJECTION: Final = ("tenant", "outcome", "endedAt", "expireAt", "callbackUrl", "traceparent", "owed", "scrubbedAt")


class MongoLedger:
    """Adapter over `mutations` of each environment. Raises DependencyUnavailable."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases

    async def read(self, environment: str, ids: Sequence[str]) -> dict[str, Notice]:
        """The notices of these mutations, where the ledger holds them and they have ended."""
        # By id alone: the embedded server reads the whole collection for anything more.
        async with translated():
            found = self._databases[environment].mutations.find({"_id": {"$in": list(ids)}}, PROJECTION)
            return {
                document["_id"]: _notice(environment, document)
                async for document in found
                if document.get("outcome") and document.get("endedAt")
            }

    async def settle(self, environment: str, ids: Collection[str]) -> None:
        """Clear `owed`, and the callback URL, which the delivery holds; void where it is clear already."""
        if ids:
            async with translated():
                await self._databases[environment].mutations.update_many(
                    {"_id": {"$in": list(ids)}}, {"$unset": {"owed": "", "lane": "", "callbackUrl": ""}}
                )


def _notice(environment: str, document: Document) -> Notice:
    return Notice(
        mutation_id=document["_id"],
        environment=environment,
        tenant=document["tenant"],
        outcome=document["outcome"],
        ended_at=document["endedAt"],
        expire_at=document.get("expireAt") or document["endedAt"] + timedelta(seconds=KEPT_SECONDS),
        callback_url=document.get("callbackUrl"),
        traceparent=document.get("traceparent", ""),
        owed=document.get("owed", False),
        scrubbed="scrubbedAt" in document,
    )
