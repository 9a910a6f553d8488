"""From what a mutation brought to bytes under `records/`: decode, judge, put or copy."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Final

from services.storage.decision import FileResult, StoredFile, failure
from services.storage.ports import Blobs
from services.storage.together import together
from services.storage.work import Work
from shared import base64text
from shared.content.judge import Judge, Source
from shared.errors import BlobMissing
from shared.events import Environment, FileError, StagedObject
from shared.ledger import Document

IN_FLIGHT: Final = 16  # an odd one may need its whole 25 MiB in memory


class FileMissing(Exception):
    """A fetched file is not where its event says: it has to be fetched again."""


class FileStore:
    """Stores the files of mutations; a put is repeated without harm, its key holds the attachment and the digest."""

    def __init__(self, blobs: Blobs, judge: Judge) -> None:
        self._blobs, self._judge = blobs, judge
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def store(self, environment: Environment, work: Work) -> dict[str, FileResult]:
        """All files of a mutation, by attachment id. Raises FileMissing, DependencyUnavailable."""
        files: dict[str, Document] = work.mutation.get("files") or {}
        results = await together(self._one(environment, work, name) for name in files)
        return dict(zip(files, results, strict=True))

    async def assign(
        self, environment: Environment, mutation: Document, uploads: Mapping[str, Document]
    ) -> dict[str, FileResult]:
        """Of its tenant's uploads those that it has claimed, judged when they came; an error for each of the others."""
        files: dict[str, Document] = mutation.get("files") or {}
        results = await together(self._upload(environment, mutation, name, uploads.get(name)) for name in files)
        return dict(zip(files, results, strict=True))

    async def _upload(
        self, environment: Environment, mutation: Document, name: str, upload: Document | None
    ) -> FileResult:
        if "rehearsed" in mutation["files"][name]:
            return FileError(**failure(mutation["files"][name]["rehearsed"]))
        if upload is None or upload.get("end") == "expired" or upload.get("claimedBy") is None:
            return FileError(**failure("not_found"))
        if upload.get("endedAt") or upload["claimedBy"] != mutation["_id"]:
            return FileError(**failure("already_assigned"))
        key = f"records/{environment}/{mutation['tenant']}/{name}/{upload['sha256']}"
        try:
            async with self._slots:
                await self._blobs.copy(upload["key"], key)
        except BlobMissing:
            return FileError(**failure("staged_object_lost"))
        return StoredFile(key, upload["size"], upload["sha256"], upload["contentType"], upload["match"])

    async def _one(self, environment: Environment, work: Work, name: str) -> FileResult:
        entry = work.mutation["files"][name]
        if "rehearsed" in entry:
            return FileError(**failure(entry["rehearsed"]))
        place = f"records/{environment}/{work.mutation['tenant']}/{name}"
        async with self._slots:
            if "data" in entry:
                return await self._inline(entry, place)
            if "staged" in entry:
                try:
                    return await self._staged(entry, StagedObject(**entry["staged"]), place)
                except BlobMissing:
                    return FileError(**failure("staged_object_lost"))
            return await self._fetched(entry, work.brought.get(name), place)

    async def _fetched(self, entry: Document, brought: StagedObject | FileError | None, place: str) -> FileResult:
        if isinstance(brought, FileError):
            return brought
        if brought is None:
            raise FileMissing
        try:
            return await self._staged(entry, brought, place)
        except BlobMissing:
            raise FileMissing from None

    async def _inline(self, entry: Document, place: str) -> FileResult:
        content = base64text.decode(entry["data"])

        async def read(start: int, length: int) -> bytes:
            return content[start : start + length]

        verdict = await self._judge(Source(read, len(content)), entry["filename"], entry.get("declaredType"))
        if isinstance(verdict, FileError):
            return verdict
        digest = hashlib.sha256(content).hexdigest()
        await self._blobs.put(f"{place}/{digest}", content, len(content), verdict.content_type)
        return StoredFile(f"{place}/{digest}", len(content), digest, verdict.content_type, verdict.match)

    async def _staged(self, entry: Document, staged: StagedObject, place: str) -> FileResult:
        async def read(start: int, length: int) -> bytes:
            return await self._blobs.get(staged.key, start, length)

        declared = entry.get("declaredType") or staged.content_type
        verdict = await self._judge(Source(read, staged.size), entry["filename"], declared)
        if isinstance(verdict, FileError):
            return verdict
        await self._blobs.copy(staged.key, f"{place}/{staged.sha256}")
        return StoredFile(
            f"{place}/{staged.sha256}", staged.size, staged.sha256, verdict.content_type, verdict.match
        )  # fmt: skip
