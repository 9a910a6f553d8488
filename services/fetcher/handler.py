"""Decides what becomes of an accepted mutation: its files are downloaded and staged, or it is passed on without.

A stranger's failure is an outcome of the file; one of our own dependencies away is waited for, never an outcome.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final, Protocol, TypeVar

import structlog

from shared import topics
from shared.consume import BackOff
from shared.crash_points import crash_point
from shared.errors import OUTCOME_CODES, DependencyUnavailable
from shared.events import FetchTimes, FileError, MutationAccepted, MutationFetched, StagedObject, UrlSource
from shared.limits import FETCHER_TRIES
from shared.tracing import requested, span

PUTS_IN_FLIGHT: Final = 16  # each holds buffers of the store's client
T = TypeVar("T")
log = structlog.get_logger()


class SourceBusy(Exception):
    """No place at a source's host came free in time: the mutation is put off, which is no outcome of its file."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A whole file: bytes, or a file of the operating system; size in bytes, SHA-256 in hex, the declared type.

    It keeps its place in flight until it is closed, so that bodies don't pile up while the object store is away.
    """

    body: bytes | BinaryIO
    size: int
    sha256: str
    content_type: str | None
    release: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Give the bytes and their place up."""
        self.release()
        if not isinstance(self.body, bytes):
            self.body.close()


class Downloader(Protocol):
    """Strangers' servers."""

    async def download(self, url: str) -> Downloaded | FileError:
        """The bytes behind a URL, or why they could not be had. Raises DependencyUnavailable, SourceBusy."""


class Blobs(Protocol):
    """The object store."""

    async def put(self, key: str, body: bytes | BinaryIO, size: int, content_type: str | None = None) -> None:
        """Store exactly `size` bytes, a file whole, wherever it stands. Raises DependencyUnavailable."""


class Ledger(Protocol):
    """The state of mutations."""

    async def ended(self, environment: str, ids: list[str]) -> set[str]:
        """Those of these mutations that need no files any more. Raises DependencyUnavailable."""


class Publisher(Protocol):
    """The broker."""

    async def publish(self, topic: str, event: MutationFetched, traceparent: str) -> None:
        """Publish one event. Raises DependencyUnavailable."""


async def until_available(operation: Callable[[], Awaitable[T]]) -> T:
    """Repeat while a dependency of ours is away, with growing pauses and jitter; whoever stops us cancels."""
    back_off = BackOff()
    while True:
        try:
            return await operation()
        except DependencyUnavailable as error:
            if not back_off.failures:
                log.warning("fetch.held", dependency=error.dependency, error=str(error))
            await back_off.pause()


class FetchHandler:
    """One accepted event in, one fetched event out."""

    def __init__(
        self,
        downloader: Downloader,
        blobs: Blobs,
        ledger: Ledger,
        publisher: Publisher,
        random_name: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._downloader, self._blobs, self._ledger, self._publisher = downloader, blobs, ledger, publisher
        self._random_name = random_name
        self._puts = asyncio.Semaphore(PUTS_IN_FLIGHT)

    async def ended(self, events: Iterable[MutationAccepted]) -> set[str]:
        """Which mutations with files have ended: one read for each environment; the others are not even asked for."""
        asked: dict[str, list[str]] = defaultdict(list)
        for event in events:
            if event.sources:
                asked[event.environment].append(event.mutation_id)
        found: set[str] = set()
        for environment, ids in asked.items():
            found |= await until_available(lambda e=environment, i=ids: self._ledger.ended(e, i))  # type: ignore[misc]
        return found

    async def handle(
        self, event: MutationAccepted, traceparent: str, ended: bool = False, published: datetime | None = None
    ) -> bool:
        """Stage the files unless the mutation has ended, then publish; False when a bug came in between.

        `published`: when the event was, for the mutation's time line.

        Raises SourceBusy, and then nothing is published.

        Returns when the broker has the event. A kill before that leaves staged objects that no event names: the record
        comes again and stages under new names; the rest goes with the mutation's staging prefix when it ends.
        """
        taken = datetime.now(UTC)
        fetched = await self._fetch(event, traceparent, ended)
        times = FetchTimes(published=published, taken=taken, fetched=datetime.now(UTC))
        fetched = fetched.model_copy(update={"times": times})
        crash_point("fetcher.publishing")
        await until_available(lambda: self._publisher.publish(topics.FETCHED, fetched, traceparent))
        crash_point("fetcher.published")
        failed = sum(isinstance(file, FileError) for file in fetched.files.values())
        log.info(
            "mutation.fetched", mutation=event.mutation_id, tenant=event.tenant, files=len(fetched.files), failed=failed
        )
        return fetched.error is None

    async def _fetch(self, event: MutationAccepted, traceparent: str, ended: bool) -> MutationFetched:
        passed_on = MutationFetched.model_validate(event.model_dump(exclude={"sources"}))
        if ended or not event.sources:
            return passed_on
        for _ in range(FETCHER_TRIES):
            staging = (self._stage(event, traceparent, file, source) for file, source in event.sources.items())
            files = await asyncio.gather(*staging, return_exceptions=True)
            if busy := next((file for file in files if isinstance(file, SourceBusy)), None):
                raise busy
            bugs = [file for file in files if isinstance(file, BaseException)]
            if not bugs:
                return passed_on.model_copy(update={"files": dict(zip(event.sources, files, strict=True))})
            log.error("fetch.failed", mutation=event.mutation_id, exc_info=bugs[0])
        error = FileError(code="internal_error", message=OUTCOME_CODES["internal_error"].advice)
        return passed_on.model_copy(update={"error": error})

    async def _stage(
        self, event: MutationAccepted, traceparent: str, file: str, source: UrlSource
    ) -> StagedObject | FileError:
        downloaded = await self._download(traceparent, file, source)
        if isinstance(downloaded, FileError):
            return downloaded
        crash_point("fetcher.downloaded")
        key = f"staging/{event.environment}/{event.mutation_id}/{file}-{self._random_name()}"
        try:
            async with self._puts:
                await until_available(lambda: self._blobs.put(key, downloaded.body, downloaded.size))
        finally:
            downloaded.close()
        crash_point("fetcher.staged")
        return StagedObject(
            key=key, size=downloaded.size, sha256=downloaded.sha256, content_type=downloaded.content_type
        )

    async def _download(self, traceparent: str, file: str, source: UrlSource) -> Downloaded | FileError:
        with span("GET", traceparent, "client", requested("GET", source.url)) as step:
            downloaded = await until_available(lambda: self._downloader.download(source.url))
            step.note({"engine.file.id": file})
            if isinstance(downloaded, FileError):
                step.failed(downloaded.code)
            else:
                step.note({"http.response.body.size": downloaded.size})
        return downloaded
