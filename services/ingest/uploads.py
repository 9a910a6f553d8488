"""Temporary uploads: spooled, judged, staged, and entered together, or not at all. Knows neither HTTP nor a client.

Objects come before documents. A kill in between leaves objects that no document names, which the sweeper deletes;
a kill between two documents leaves some whose ids nobody was told, which expire like any other.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

import structlog
from uuid_utils import uuid7

from services.ingest.auth import Caller
from services.ingest.budget import Budget
from services.ingest.ports import Staging
from services.ingest.problems import Problem
from services.ingest.upload_batch import Batch, JudgeBytes
from shared import limits
from shared.content.judge import Source
from shared.errors import DependencyUnavailable
from shared.events import FileError
from shared.uploads import UploadDocument

log = structlog.get_logger()
JUDGED_AT_ONCE: Final = 4  # of a large archive or compound file the judge holds megabytes


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant has in temporary uploads that are alive, and when the first of them expires."""

    files: int
    bytes: int
    next_end: datetime | None


class UploadDocuments(Protocol):
    """Temporary uploads; raises DependencyUnavailable."""

    async def usage(self, environment: str, tenant: str, now: datetime) -> Usage:
        """What of this tenant is alive."""
        ...

    async def insert(self, environment: str, documents: Sequence[UploadDocument]) -> None:
        """Enter what one request brought."""
        ...

    async def forget(self, environment: str, ids: Sequence[str]) -> None:
        """Delete what there is of a request that failed."""
        ...

    async def find(self, environment: str, tenant: str, upload_id: str, now: datetime) -> dict[str, Any] | None:
        """One that is alive."""
        ...


@dataclass(frozen=True, slots=True)
class UploadRules:
    """How long files wait for their assign, how much of them a tenant may have, how many requests a process takes."""

    kept_seconds: float = limits.UPLOAD_KEPT_SECONDS
    quota_bytes: int = limits.UPLOAD_QUOTA_BYTES
    quota_files: int = limits.UPLOAD_QUOTA_FILES
    at_once: int = limits.UPLOADS_AT_ONCE
    spool_directory: Path | None = None


class Uploads:
    """Takes requests, and knows what is alive; time and ids are parameters."""

    def __init__(
        self,
        documents: UploadDocuments,
        staging: Staging,
        judge: JudgeBytes,
        rules: UploadRules | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: str(uuid7()),
    ) -> None:
        self._documents, self._staging, self._rules = documents, staging, rules or UploadRules()
        self._judge, self._judging = judge, asyncio.Semaphore(JUDGED_AT_ONCE)
        self._now, self._new_id = now, new_id
        self._requests = Budget(self._rules.at_once)
        # Requests of one tenant are counted one after the other, so that together they can't pass the quota.
        self._counting: WeakValueDictionary[Caller, asyncio.Lock] = WeakValueDictionary()

    @property
    def in_hand(self) -> int:
        """Requests that are under way."""
        return self._requests.held

    @asynccontextmanager
    async def batch(self, caller: Caller, kind: str) -> AsyncIterator[Batch]:
        """One request's files; unless they are committed, nothing of them is left. Raises Problem."""
        if not self._requests.take(caller.tenant, 1):
            raise Problem("over_capacity", headers={"Retry-After": "5"})
        batch = Batch(
            self._staging, self._judged, partial(self._draft, caller, kind), partial(self._enter, caller),
            self._rules.spool_directory,
        )  # fmt: skip
        try:
            await self._check_quota(caller, 0, 0)
            yield batch
        finally:
            try:
                await batch.discard()
            finally:
                self._requests.give_back(caller.tenant, 1)

    async def find(self, caller: Caller, upload_id: str) -> dict[str, Any] | None:
        """An upload that is alive."""
        return await self._documents.find(caller.environment, caller.tenant, upload_id, self._now())

    async def _judged(self, body: Source) -> str | FileError:
        async with self._judging:
            return await self._judge(body)

    def _draft(self, caller: Caller, kind: str) -> UploadDocument:
        """A new upload, as far as the file does not matter. Times are those that the database can keep."""
        now = self._now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        expires, upload = now + timedelta(seconds=self._rules.kept_seconds), self._new_id()
        key = f"staging/{caller.environment}/uploads/{upload}/{secrets.token_hex(8)}"
        return UploadDocument(
            _id=upload, tenant=caller.tenant, type=kind, key=key, createdAt=now, expiresAt=expires, keepUntil=expires,
            claimedBy=None,
        )  # fmt: skip

    async def _enter(self, caller: Caller, documents: list[UploadDocument]) -> None:
        """Insert them if the quota holds them. Raises Problem, DependencyUnavailable."""
        async with self._counting.setdefault(caller, asyncio.Lock()):
            await self._check_quota(caller, len(documents), sum(one["size"] for one in documents))
            try:
                await self._documents.insert(caller.environment, documents)
            except BaseException:
                # Some may be there. Nobody knows their ids, so what is left of them only counts until it expires.
                with suppress(DependencyUnavailable):
                    await self._documents.forget(caller.environment, [one["_id"] for one in documents])
                raise
        size = sum(one["size"] for one in documents)
        log.info("uploads.stored", tenant=caller.tenant, files=len(documents), bytes=size)

    async def _check_quota(self, caller: Caller, files: int, size: int) -> None:
        """Before anything is read: whether it is full already; at the end: whether there is room for so much."""
        now = self._now()
        usage = await self._documents.usage(caller.environment, caller.tenant, now)
        full = usage.files >= self._rules.quota_files or usage.bytes >= self._rules.quota_bytes
        over = usage.files + files > self._rules.quota_files or usage.bytes + size > self._rules.quota_bytes
        if over or (full and not files):
            wait = (usage.next_end - now).total_seconds() if usage.next_end else self._rules.kept_seconds
            most = f"{self._rules.quota_files} unassigned files of {limits.readable(self._rules.quota_bytes)} in all"
            detail = f"A tenant may have {most}; assign some, or wait until they expire."
            raise Problem("quota_exceeded", detail, headers={"Retry-After": str(max(1, int(wait)))})
