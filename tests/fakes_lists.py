"""The lists of ingest over documents in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Stored = list[tuple[str, dict[str, Any]]]


@dataclass
class InMemoryLists:
    """Pages of what others hold: documents by environment."""

    held: Stored
    stored: Stored

    async def records(
        self,
        environment: str,
        tenant: str,
        record_type: str,
        before: str | None,
        most: int,
        names: Sequence[str] | None,
    ) -> list[dict[str, Any]]:
        found = [one for one in self._records(environment, tenant, record_type) if not before or one["_id"] < before]
        return [one if names is None else one | {"fields": _chosen(one["fields"], names)} for one in found][:most]

    async def records_by_key(
        self, environment: str, tenant: str, record_type: str, key: str, most: int
    ) -> list[dict[str, Any]]:
        return [one for one in self._records(environment, tenant, record_type) if key in one.get("search", ())][:most]

    async def attachments(
        self, environment: str, tenant: str, owners: Sequence[str], kind: str | None, skip: int, most: int
    ) -> tuple[list[dict[str, Any]], int]:
        found = [one for where, one in self.stored if where == environment and one["tenant"] == tenant]
        found = [one for one in found if set(owners) <= {owner["record"] for owner in one["owners"]}]
        found = [one for one in found if kind in (None, one.get("type"))]
        return sorted(found, key=_id, reverse=True)[skip : skip + most], len(found)

    def _records(self, environment: str, tenant: str, record_type: str) -> list[dict[str, Any]]:
        mine = [one for where, one in self.held if (where, one["tenant"]) == (environment, tenant)]
        return sorted((one for one in mine if one["type"] == record_type), key=_id, reverse=True)


def _id(document: dict[str, Any]) -> Any:
    return document["_id"]


def _chosen(fields: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in names}
