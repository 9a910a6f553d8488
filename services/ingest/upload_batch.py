"""The files of one upload request on their way: each is spooled, judged by its bytes, and staged."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

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

JudgeBytes = Callable[[Source], Awaitable[str | FileError]]


class Batch:
    """The files of one request: for each `begin`, `write` …, `end`; then `commit`. Raises Problem for a bad one."""

    def __init__(
        self,
        staging: Staging,
        judge: JudgeBytes,
        draft: Callable[[], UploadDocument],
        enter: Callable[[list[UploadDocument]], Awaitable[None]],
        spool_directory: Path | None,
    ) -> None:
        self._staging, self._judge, self._draft, self._enter = staging, judge, draft, enter
        self._directory = spool_directory
        self._documents: list[UploadDocument] = []  # the last is that of the file in hand
        self._keys: list[str] = []  # under which there may be objects
        self._spool = Spool(spool_directory)  # of the file in hand
        self._claims: list[str] = []

    async def begin(self, filename: str | None, declared: str | None) -> None:
        """The next file, by the name that its sender gave it; what name and type say of it does not decide anything."""
        if len(self._documents) == limits.FILES_PER_UPLOAD:
            message = f"Send at most {limits.FILES_PER_UPLOAD} files in one request."
            raise invalid([FieldError("/files", "too_many_items", message)])
        document = self._draft()
        self._documents.append(document)
        name = safe_name(filename) if filename else None
        if name is None:
            raise self._invalid("invalid_filename", "Give the part a file name with at least one letter or digit.")
        document["filename"], self._claims = name, claims(name, declared)
        self._spool = Spool(self._directory)

    async def write(self, chunk: bytes) -> None:
        """Bytes of the file in hand."""
        if self._spool.size + len(chunk) > limits.TEMPORARY_FILE_BYTES:
            detail = f"A temporary file may have {limits.readable(limits.TEMPORARY_FILE_BYTES)}."
            raise Problem("payload_too_large", detail, field=self._pointer)
        await self._spool.write(chunk)

    async def end(self) -> None:
        """Judge the file in hand and stage it."""
        document, spool = self._documents[-1], self._spool
        body = await spool.finish()
        source = in_memory(body) if isinstance(body, bytes) else in_file(body, spool.size)
        found = await self._judge(source)
        if isinstance(found, FileError):
            raise self._invalid(found.code, found.message)
        document["filename"] = named(document["filename"], found)
        document["extension"], document["contentType"] = SUFFIXES[found], found
        document["match"] = "match" if set(self._claims) == {found} else "compatible"
        document["size"], document["sha256"] = spool.size, spool.sha256()
        self._keys.append(document["key"])
        await self._staging.put(document["key"], body, spool.size)
        spool.close()

    async def commit(self) -> list[UploadDocument]:
        """Enter all of them: from now on they can be read and assigned."""
        if not self._documents:
            raise invalid([FieldError("/files", "empty_request", "Send at least one file in the field files.")])
        await self._enter(self._documents)
        self._keys.clear()
        return self._documents

    async def discard(self) -> None:
        """Leave nothing of what is not committed."""
        self._spool.close()
        if self._keys:
            with suppress(DependencyUnavailable):  # what can't be deleted now, the sweeper finds
                await self._staging.delete(self._keys)

    @property
    def _pointer(self) -> str:
        return f"/files/{len(self._documents) - 1}"

    def _invalid(self, code: str, message: str) -> Problem:
        return invalid([FieldError(self._pointer, code, message)])
