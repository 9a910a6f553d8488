"""Temporary uploads: spooled, judged, staged, and entered together, or not at all. Knows neither HTTP nor a client.

Objects come before documents. A kill in between leaves objects that no document names, which the sweeper deletes;
a kill between two documents leaves some whose ids nobody was told, which expire like any other.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

import structlog
from uuid_utils import uuid7

from services.ingest.auth import Caller
from services.ingest.ports import Staging
from services.ingest.problems import FieldError, Problem, invalid
from shared import limits
from shared.content.judge import Source, in_file, in_memory
from shared.content.media_types import SUFFIXES, claims, named
from shared.errors import DependencyUnavailable
from shared.events import FileError
from shared.filenames import safe_name
from shared.spool import Spool
from shared.uploads import UploadDocument

log = structlog.get_logger()
JUDGED_AT_ONCE: Final = 4  # of a large archive or compound file the judge holds megabytes
JudgeBytes = Callable[[Source], Awaitable[str | FileError]]


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
        self.in_hand = 0  # requests
        # Requests of one tenant are counted one after the other, so that together they can't pass the quota.
        self._counting: WeakValueDictionary[Caller, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def batch(self, caller: Caller, kind: str) -> AsyncIterator["Batch"]:
        """One request's files; unless they are committed, nothing of them is left. Raises Problem."""
        if self.in_hand >= self._rules.at_once:
            raise Problem("over_capacity", headers={"Retry-After": "5"})
        self.in_hand += 1
        batch = Batch(self, caller, kind)
        try:
            await self._check_quota(caller, 0, 0)
            yield batch
        finally:
            try:
                await batch.discard()
            finally:
                self.in_hand -= 1

    async def find(self, caller: Caller, upload_id: str) -> dict[str, Any] | None:
        """An upload that is alive."""
        return await self._documents.find(caller.environment, caller.tenant, upload_id, self._now())

    def spool(self) -> Spool:
        """For one file."""
        return Spool(self._rules.spool_directory)

    async def judged(self, body: Source) -> str | FileError:
        """The type of the bytes, or why they are refused."""
        async with self._judging:
            return await self._judge(body)

    def document(self, caller: Caller, kind: str) -> UploadDocument:
        """A new upload, as far as the file does not matter. Times are those that the database can keep."""
        now = self._now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        expires, upload = now + timedelta(seconds=self._rules.kept_seconds), self._new_id()
        key = f"staging/{caller.environment}/uploads/{upload}/{secrets.token_hex(8)}"
        return UploadDocument(
            _id=upload, tenant=caller.tenant, type=kind, key=key, createdAt=now, expiresAt=expires, keepUntil=expires,
            claimedBy=None,
        )  # fmt: skip

    async def enter(self, caller: Caller, documents: list[UploadDocument]) -> None:
        """Insert them if the quota holds them. Raises Problem, DependencyUnavailable."""
        async with self._counting.setdefault(caller, asyncio.Lock()):
            await self._check_quota(caller, len(documents), sum(one["size"] for one in documents))
            try:
                await self._documents.insert(caller.environment, documents)
            except DependencyUnavailable:
                # Some may be there. Nobody knows their ids, so what is left of them only counts until it expires.
                with suppress(DependencyUnavailable):
                    await self._documents.forget(caller.environment, [one["_id"] for one in documents])
                raise
        size = sum(one["size"] for one in documents)
        log.info("uploads.stored", tenant=caller.tenant, files=len(documents), bytes=size)

    async def put(self, key: str, body: Any, size: int) -> None:
        """One object under `staging/`."""
        await self._staging.put(key, body, size)

    async def drop(self, keys: list[str]) -> None:
        """Delete what a failed request has staged; what can't be deleted now, the sweeper finds."""
        with suppress(DependencyUnavailable):
            await self._staging.delete(keys)

    async def _check_quota(self, caller: Caller, files: int, size: int) -> None:
        """Before anything is read: whether it is full already; at the end: whether there is room for so much."""
        now = self._now()
        usage = await self._documents.usage(caller.environment, caller.tenant, now)
        full = usage.files >= self._rules.quota_files or usage.bytes >= self._rules.quota_bytes
        over = usage.files + files > self._rules.quota_files or usage.bytes + size > self._rules.quota_bytes
        if over or (full and not files):
            wait = (usage.next_end - now).total_seconds() if usage.next_end else self._rules.kept_seconds
            most = f"{self._rules.quota_files} unassigned files of {self._rules.quota_bytes} bytes in all"
            detail = f"A tenant may have {most}; assign some, or wait until they expire."
            raise Problem("quota_exceeded", detail, headers={"Retry-After": str(max(1, int(wait)))})


class Batch:
    """The files of one request: for each `begin`, `write` …, `end`; then `commit`. Raises Problem for a bad one."""

    def __init__(self, uploads: Uploads, caller: Caller, kind: str) -> None:
        self._uploads, self._caller, self._kind = uploads, caller, kind
        self._documents: list[UploadDocument] = []  # the last is that of the file in hand
        self._keys: list[str] = []  # under which there may be objects
        self._spool: Spool | None = None
        self._claims: list[str] = []

    async def begin(self, filename: str | None, declared: str | None) -> None:
        """The next file, by the name that its sender gave it; what name and type say of it does not decide anything."""
        if len(self._documents) == limits.FILES_PER_UPLOAD:
            message = f"Send at most {limits.FILES_PER_UPLOAD} files in one request."
            raise invalid([FieldError("/files", "too_many_items", message)])
        document = self._uploads.document(self._caller, self._kind)
        self._documents.append(document)
        name = safe_name(filename) if filename else None
        if name is None:
            raise self._invalid("invalid_filename", "Give the part a file name with at least one letter or digit.")
        document["filename"], self._claims = name, claims(name, declared)
        self._spool = self._uploads.spool()

    async def write(self, chunk: bytes) -> None:
        """Bytes of the file in hand."""
        assert self._spool is not None  # noqa: S101  (begin comes first)
        if self._spool.size + len(chunk) > limits.TEMPORARY_FILE_BYTES:
            detail = f"A temporary file may have {limits.TEMPORARY_FILE_BYTES} bytes."
            raise Problem("payload_too_large", detail, field=self._pointer)
        await self._spool.write(chunk)

    async def end(self) -> None:
        """Judge the file in hand and stage it."""
        assert self._spool is not None  # noqa: S101
        document, spool = self._documents[-1], self._spool
        body = await spool.finish()
        source = in_memory(body) if isinstance(body, bytes) else in_file(body, spool.size)
        found = await self._uploads.judged(source)
        if isinstance(found, FileError):
            raise self._invalid(found.code, found.message)
        document["filename"] = safe_name(named(document["filename"], found)) or document["filename"]
        document["extension"], document["contentType"] = SUFFIXES[found], found
        document["match"] = "match" if set(self._claims) == {found} else "compatible"
        document["size"], document["sha256"] = spool.size, spool.sha256()
        if not isinstance(body, bytes):
            body.seek(0)  # the judge left it elsewhere
        self._keys.append(document["key"])
        await self._uploads.put(document["key"], body, spool.size)
        spool.close()

    async def commit(self) -> list[UploadDocument]:
        """Enter all of them: from now on they can be read and assigned."""
        if not self._documents:
            raise invalid([FieldError("/files", "empty_request", "Send at least one file in the field files.")])
        await self._uploads.enter(self._caller, self._documents)
        self._keys.clear()
        return self._documents

    async def discard(self) -> None:
        """Leave nothing of what is not committed."""
        if self._spool is not None:
            self._spool.close()
        if self._keys:
            await self._uploads.drop(self._keys)

    @property
    def _pointer(self) -> str:
        return f"/files/{len(self._documents) - 1}"

    def _invalid(self, code: str, message: str) -> Problem:
        return invalid([FieldError(self._pointer, code, message)])
