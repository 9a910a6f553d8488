"""Empties tenants' sandboxes, on demand and every night: what was accepted before the request goes, and nothing else.

The request stays open until all is done, and every step may be repeated: a kill anywhere costs a round.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog

from services.storage.sweeper import End, end_each
from shared.errors import DependencyUnavailable
from shared.ledger import ACCEPTED, Document

log = structlog.get_logger()
CALLBACKS_SECONDS: Final = 60.0  # for the notifier to hear of the last outcomes and to attempt each callback once
TOMBSTONES: Final = timedelta(days=1)
LEASE: Final = "storage.resets"
LEASE_SECONDS: Final = 30.0
BATCH: Final = 200


class Requests(Protocol):
    """What tenants have asked for; see Resets."""

    async def open(self) -> dict[str, datetime]: ...
    async def complete(self, tenant: str, requested: datetime, now: datetime) -> None: ...


class Belongings(Protocol):
    """What a tenant has in the sandbox; see MongoBelongings."""

    async def open_mutations(self, tenant: str, before: datetime, below: str | None) -> list[Document]: ...
    async def calls_to_come(self, tenant: str, before: datetime) -> bool: ...
    async def drop_records(self, tenant: str, before: datetime, now: datetime) -> None: ...
    async def forget_records(self, tenant: str, removed_before: datetime) -> None: ...
    async def drop_uploads(self, tenant: str, before: datetime, now: datetime) -> list[str]: ...
    async def forget_uploads(self, tenant: str, before: datetime) -> None: ...
    async def ended_of(self, tenant: str, before: datetime, ids: Iterable[str]) -> set[str]: ...
    async def forget_mutations(self, tenant: str, before: datetime) -> None: ...


class Blobs(Protocol):
    """What a reset does in the object store."""

    def list(self, prefix: str) -> AsyncIterator[tuple[str, int, datetime]]: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


class Emptier:
    """Carries requests out; `reconcile` deletes the objects of a tenant that no live document names."""

    def __init__(
        self,
        requests: Requests,
        belongings: Belongings,
        blobs: Blobs,
        end: End,
        reconcile: Callable[[str], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests, self._belongings, self._blobs = requests, belongings, blobs
        self._end, self._reconcile, self._clock = end, reconcile, clock
        self._waiting: dict[str, tuple[datetime, float]] = {}  # by tenant: until when for callbacks of which request

    async def round(self, hold: Callable[[str, float], Awaitable[bool]]) -> None:
        """Bring every open request forward, as far as it goes without waiting. Raises DependencyUnavailable."""
        for tenant, requested in (await self._requests.open()).items():
            if not await hold(LEASE, LEASE_SECONDS):
                return
            try:
                if await self.empty(tenant, requested):
                    await self._requests.complete(tenant, requested, datetime.now(UTC))
                    log.info("sandbox.emptied", tenant=tenant, before=requested.isoformat())
            except DependencyUnavailable:
                raise
            except Exception:
                log.exception("sandbox.reset_failed", tenant=tenant)

    async def empty(self, tenant: str, before: datetime) -> bool:
        """Whether all is gone; False: something has to end, or a callback to be attempted first."""
        if await self._end_open(tenant, before) or await self._wait(tenant, before):
            return False
        await self._drop(tenant, before)
        self._waiting.pop(tenant, None)
        return True

    async def _end_open(self, tenant: str, before: datetime) -> bool:
        """End what is accepted; whether there was anything open: what is applying goes to the end it decided.

        The youngest first, so that no successor is taken up only to be ended for want of its record.
        """
        below, some = None, False
        while page := await self._belongings.open_mutations(tenant, before, below):
            below, some = page[-1]["_id"], True
            accepted = [each["_id"] for each in page if each["status"] == ACCEPTED]
            if accepted:
                await end_each(self._end, "sandbox", accepted, "sandbox_reset")
        return some

    async def _wait(self, tenant: str, before: datetime) -> bool:
        """Whether callbacks may still be waited for; a kill begins the minute anew."""
        if not await self._belongings.calls_to_come(tenant, before):
            return False
        requested, until = self._waiting.get(tenant, (None, 0.0))
        if requested != before:
            until = self._clock() + CALLBACKS_SECONDS
            self._waiting[tenant] = before, until
        if self._clock() < until:
            return True
        log.warning("sandbox.callbacks_dropped", tenant=tenant)
        return False

    async def _drop(self, tenant: str, before: datetime) -> None:
        """Documents before objects, so that nobody is shown what has no bytes; mutations last, so that till then their
        keys say what became of them.

        A kill leaves objects that nothing names; the repetition finds them by their prefix, as the reconciler does.
        """
        now = datetime.now(UTC)
        await self._belongings.drop_records(tenant, before, now)
        await self._belongings.forget_records(tenant, before - TOMBSTONES)
        await self._reconcile(tenant)
        uploads = await self._belongings.drop_uploads(tenant, before, now)
        await self._delete(uploads)
        await self._belongings.forget_uploads(tenant, before)
        await self._delete_staged(tenant, before)
        await self._belongings.forget_mutations(tenant, before)

    async def _delete_staged(self, tenant: str, before: datetime) -> None:
        """What ended mutations left behind; what comes later, the sweeper finds."""
        page: list[str] = []
        async for key, _, _ in self._blobs.list("staging/sandbox/"):
            page.append(key)
            if len(page) == BATCH:
                await self._delete_of_ended(tenant, before, page)
                page = []
        await self._delete_of_ended(tenant, before, page)

    async def _delete_of_ended(self, tenant: str, before: datetime, keys: list[str]) -> None:
        owners = {key: key.split("/")[2] for key in keys}
        ended = await self._belongings.ended_of(tenant, before, set(owners.values())) if keys else set()
        await self._delete([key for key, owner in owners.items() if owner in ended])

    async def _delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._blobs.delete(keys)
