"""What only time asks for: deadlines, owed outcomes, staged leftovers, orphan objects. Each job under one lease."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog

from services.storage.ports import Publisher
from shared.errors import DependencyUnavailable
from shared.events import Environment, MutationCompleted
from shared.ledger import Document
from shared.metrics import PUBLISHED_AGAIN
from shared.outbox import completed_event, republish_pause
from shared.topics import COMPLETED

log = structlog.get_logger()
ENVIRONMENTS: Final[tuple[Environment, ...]] = ("live", "sandbox")
BATCH: Final = 200
End = Callable[[Environment, Iterable[str], str], Awaitable[None]]  # see StorageHandler.end


class Ledger(Protocol):
    """What the sweeper asks the ledger; see MongoLedger."""

    async def overdue(self, environment: Environment, now: datetime, limit: int) -> list[str]: ...
    async def owed(self, environment: Environment, now: datetime, limit: int) -> list[Document]: ...
    async def announced(self, environment: Environment, due: Mapping[str, datetime]) -> None: ...
    async def open_of(self, environment: Environment, mutations: Iterable[str]) -> set[str]: ...
    async def named_keys(self, environment: Environment, attachments: Iterable[str]) -> dict[str, str]: ...
    async def busy_files(self, environment: Environment, attachments: Iterable[str]) -> set[str]: ...
    async def upload_keys(self, environment: Environment, uploads: Iterable[str]) -> dict[str, str]: ...


class Blobs(Protocol):
    """What the sweeper does in the object store."""

    def list(self, prefix: str) -> AsyncIterator[tuple[str, int, datetime]]: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


class Sweeper:
    """The jobs; each works off one environment once."""

    def __init__(
        self,
        ledger: Ledger,
        blobs: Blobs,
        publisher: Publisher,
        end: End,
        notifier_passed: Callable[[], Awaitable[bool]],
    ) -> None:
        self._ledger, self._blobs, self._publisher = ledger, blobs, publisher
        self._end, self._notifier_passed = end, notifier_passed

    async def end_overdue(self, environment: Environment) -> None:
        """End what is past its deadline and not decided yet."""
        late = await self._ledger.overdue(environment, datetime.now(UTC), BATCH)
        if late:
            log.warning("mutation.deadline_exceeded", mutations=late)
            await end_each(self._end, environment, late, "deadline_exceeded")

    async def announce_owed(self, environment: Environment) -> None:
        """Publish again what is owed and lost: still owed after the notifier has passed all that there was."""
        now = datetime.now(UTC)
        due = {each["_id"] for each in await self._ledger.owed(environment, now, BATCH)}
        if not due or not await self._notifier_passed():
            return
        lost = [each for each in await self._ledger.owed(environment, now, BATCH) if each["_id"] in due]
        if lost:
            log.warning("outcome.published_again", mutations=[each["_id"] for each in lost])
            await self._publisher.completed(_announcements(environment, lost))
            PUBLISHED_AGAIN.labels(COMPLETED).inc(len(lost))
            now = datetime.now(UTC)
            await self._ledger.announced(environment, {each["_id"]: now + _next_pause(each) for each in lost})

    async def sweep_staging(self, environment: Environment, age: timedelta) -> None:
        """Delete what ended mutations, ended uploads and broken-off requests left under `staging/`."""
        async for keys in self._old(f"staging/{environment}/", age):
            uploads = {key: key.split("/")[3] for key in keys if key.split("/")[2] == "uploads"}
            living = await self._ledger.upload_keys(environment, uploads.values()) if uploads else {}
            owners = {key: key.split("/")[2] for key in keys if key not in uploads}
            busy = await self._ledger.open_of(environment, set(owners.values()))
            left = [key for key, owner in owners.items() if owner not in busy]
            await self._delete("staging", left + [key for key, name in uploads.items() if living.get(name) != key])

    async def reconcile(self, environment: Environment, age: timedelta, tenant: str | None = None) -> None:
        """Delete from `records/` what no live document names and no open mutation may still decide for."""
        async for keys in self._old(f"records/{environment}/{tenant}/" if tenant else f"records/{environment}/", age):
            attachments = {key: key.split("/")[3] for key in keys}
            busy = await self._ledger.busy_files(environment, set(attachments.values()))
            named = await self._ledger.named_keys(environment, set(attachments.values()))
            orphans = [key for key, name in attachments.items() if name not in busy and named.get(name) != key]
            await self._delete("records", orphans)

    async def _delete(self, kind: str, keys: list[str]) -> None:
        if keys:
            log.info("objects.swept", kind=kind, count=len(keys))
            await self._blobs.delete(keys)

    async def _old(self, prefix: str, age: timedelta) -> AsyncIterator[list[str]]:
        before, page = datetime.now(UTC) - age, []
        async for key, _, modified in self._blobs.list(prefix):
            page += [key] if modified < before else []
            if len(page) >= BATCH:
                yield page
                page = []
        if page:
            yield page


def _announcements(environment: Environment, lost: Iterable[Document]) -> Iterator[tuple[MutationCompleted, str]]:
    """A document that makes no event is a bug, and must not keep the others back."""
    for each in lost:
        try:
            yield completed_event(environment, each), each.get("traceparent", "")
        except Exception:
            log.exception("outcome.unpublishable", mutation=each["_id"])


async def end_each(end: End, environment: Environment, ids: Sequence[str], code: str) -> None:
    """All at once; where that fails one by one, so that one we can't end does not keep the others open."""
    try:
        await end(environment, ids, code)
    except DependencyUnavailable:
        raise
    except Exception:
        log.exception("end.failed", mutations=ids, code=code)
        if len(ids) > 1:
            for mutation in ids:
                await end_each(end, environment, [mutation], code)


def _next_pause(document: Document) -> timedelta:
    """How long to wait once this outcome is published again; its end published it the first time."""
    again = (document.get("announced") or {}).get("count", 0)
    return timedelta(seconds=republish_pause(again + 2))


async def repeat(
    name: str,
    seconds: float,
    hold: Callable[[str, float], Awaitable[bool]],
    job: Callable[[Environment], Awaitable[None]],
    lease_seconds: float = 30.0,
) -> None:
    """Run a job for both environments again and again, while we hold its lease: three rounds, or at least so long."""

    async def once() -> None:
        if await hold(f"storage.{name}", max(3 * seconds, lease_seconds)):
            for environment in ENVIRONMENTS:
                await job(environment)

    await rounds(name, seconds, once)


async def rounds(name: str, seconds: float, once: Callable[[], Awaitable[None]]) -> None:
    """Run a job again and again. A failure costs one round."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await once()
        except DependencyUnavailable as error:
            log.warning("sweep.postponed", job=name, error=str(error))
        except Exception:
            log.exception("sweep.failed", job=name)
