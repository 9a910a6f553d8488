"""Erasure: what a record leaves in the object store, the ledger and the callbacks, and how all of it goes.

It happens while the erasing mutation is `applying`, and once more about an hour later for what was under way then.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from services.storage.ports import Blobs, Ledger, Traces
from services.storage.together import together
from shared.errors import DependencyUnavailable
from shared.events import Environment
from shared.ledger import Document

log = structlog.get_logger()
LISTS_IN_FLIGHT: Final = 16


class Erasure:
    """Every step may be repeated: a kill anywhere leaves work that whoever comes next does again from the start."""

    def __init__(self, ledger: Ledger, traces: Traces, blobs: Blobs) -> None:
        self._ledger, self._traces, self._blobs = ledger, traces, blobs
        self._lists = asyncio.Semaphore(LISTS_IN_FLIGHT)

    async def staged(self, environment: Environment, place: str) -> tuple[int, int]:
        """(number, bytes) of the objects that the record's mutations have under `staging/`."""
        mutations = await self._traces.mutations_of(environment, place)
        found = await self._under(_staging(environment, mutations))
        return len(found), sum(found.values())

    async def clear(self, environment: Environment, place: str) -> None:
        """Delete staged and forgotten objects, then what the database tells of them; attachments are gone already."""
        mutations = await self._traces.mutations_of(environment, place)
        stored = await self._forgotten(environment, place, mutations)
        keys = await self._under(_staging(environment, mutations) + stored)
        if keys:
            await self._blobs.delete(sorted(keys))
        await self._traces.scrub(environment, place, mutations)

    async def repeat(self, environment: Environment, age: timedelta) -> None:
        """The second pass over every erasure of this age: zombies, late attempts and lost races have ended by now."""
        due = await self._traces.due(environment, datetime.now(UTC) - age)
        for erasure, place in due.items():
            try:
                await self._repeat_one(environment, place)
                await self._traces.done(environment, erasure)
            except DependencyUnavailable:
                raise
            except Exception:
                log.exception("erasure.not_repeated", mutation=erasure)

    async def _repeat_one(self, environment: Environment, place: str) -> None:
        late = await self._ledger.attachments_of(environment, place)
        if late:
            await self._traces.disown(environment, place, late)
            shared = await self._ledger.attachments(environment, late)
            await self._blobs.delete([each["key"] for name, each in late.items() if name not in shared])
        await self.clear(environment, place)

    async def _forgotten(self, environment: Environment, place: str, mutations: Iterable[Document]) -> list[str]:
        """Prefixes under `records/` where a killed worker may have left bytes that nothing names.

        Not those of an assign: an upload that this record did not get may be another one's by now.
        """
        tenant, names = place.partition("/")[0], _file_ids(mutations)
        living = await self._ledger.attachments(environment, names) if names else {}
        return [f"records/{environment}/{tenant}/{name}/" for name in names if name not in living]

    async def _under(self, prefixes: list[str]) -> dict[str, int]:
        """Sizes, by key, of what is under these prefixes."""

        async def under(prefix: str) -> dict[str, int]:
            async with self._lists:
                return {key: size async for key, size, _ in self._blobs.list(prefix)}

        found: dict[str, int] = {}
        for each in await together(map(under, prefixes)):
            found |= each
        return found


def _staging(environment: Environment, mutations: Iterable[Document]) -> list[str]:
    """Where its mutations had files staged; an assign's are not its own."""
    return [f"staging/{environment}/{each['_id']}/" for each in mutations if _file_ids([each])]


def _file_ids(mutations: Iterable[Document]) -> list[str]:
    """The files that only these mutations can bring."""
    return [name for each in mutations if each["kind"] != "assign" for name in each.get("fileIds") or []]
