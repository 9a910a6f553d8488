"""Everything else outside: the object store, strangers' files, the receiver of callbacks, what judges bytes."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from services.fetcher.handler import Downloaded, SourceBusy
from services.notifier import signing
from services.notifier.dispatch import Answer
from shared.content.judge import Accepted, Verdict
from shared.content.source import Source
from shared.errors import DependencyUnavailable
from shared.events import FileError
from tests.fakes import InMemoryBlobs
from tests.simulation.faults import BUG, RECEIVER_FAILS, SOURCE_BUSY, SOURCE_FAILS, Faults, Wire

SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BROKEN_URL: Final = "https://files.test/missing"
BAD: Final = b"bad"  # how content begins that the judge refuses


class InjectedBug(Exception):
    """A bug in our own code, as the simulation plants it."""


def content_of(url: str) -> bytes:
    """What a stranger's server holds under a URL."""
    return f"the file of {url}".encode()


class Store:
    """The bucket as a process sees it."""

    def __init__(self, blobs: InMemoryBlobs, wire: Wire, on_delete: Callable[[str], None]) -> None:
        self._blobs, self._wire, self._on_delete = blobs, wire, on_delete

    async def put(self, key: str, body: bytes, size: int, content_type: str | None = None) -> None:
        await self._wire.call(lambda: self._blobs.put(key, body, size, content_type))

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return await self._wire.call(lambda: self._blobs.get(key, start, length))  # type: ignore[no-any-return]

    async def copy(self, source: str, target: str) -> None:
        await self._wire.call(lambda: self._blobs.copy(source, target))

    async def delete(self, keys: Sequence[str]) -> None:
        """One after the other, as a store does."""

        async def delete() -> None:
            for number, key in enumerate(keys):
                if number:
                    await self._wire.between()
                self._on_delete(key)
                await self._blobs.delete([key])

        await self._wire.call(delete)

    async def list(self, prefix: str) -> AsyncIterator[tuple[str, int, Any]]:
        async def read() -> list[tuple[str, int, Any]]:
            return [each async for each in self._blobs.list(prefix)]

        for each in await self._wire.call(read):
            yield each


class Strangers:
    """Servers that hold the files of clients."""

    def __init__(self, faults: Faults, wire: Wire, on_busy: Callable[[], None]) -> None:
        self._faults, self._wire, self._on_busy = faults, wire, on_busy

    async def download(self, url: str) -> Downloaded | FileError:
        content = await self._wire.call(lambda: content_of(url))
        await self._wire.process.loop.pause(self._faults.rng.uniform(0.0, 1.5))  # so that what comes later overtakes it
        if self._faults.strikes(SOURCE_BUSY, 0.1):
            self._on_busy()
            raise SourceBusy
        if url == BROKEN_URL or self._faults.strikes(SOURCE_FAILS, 0.1):
            return FileError(code="source_not_found", message="gone")
        return Downloaded(content, len(content), hashlib.sha256(content).hexdigest(), "text/plain")


class Receiver:
    """Takes callbacks; keeps every body by webhook id, with how often it was answered well."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.bodies: defaultdict[str, list[bytes]] = defaultdict(list)
        self.taken: Counter[str] = Counter()
        self.forged = 0

    def receive(self, headers: dict[str, str], content: bytes) -> Answer:
        """One callback."""
        name, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        self.forged += headers["webhook-signature"] != signing.signature([SECRET], name, timestamp, content)
        self.bodies[name].append(content)
        if self._faults.strikes(RECEIVER_FAILS, 0.3):
            return self._faults.rng.choice((Answer(500, 5), Answer(429, 5), Answer(None, 5, error="timeout")))
        self.taken[name] += 1
        return Answer(200, 5, "ok")


class Post:
    """The notifier's way to the receiver."""

    def __init__(self, receiver: Receiver, wire: Wire) -> None:
        self._receiver, self._wire = receiver, wire

    async def send(self, url: str, headers: dict[str, str], content: bytes) -> Answer:
        try:
            return await self._wire.call(lambda: self._receiver.receive(headers, content))  # type: ignore[no-any-return]
        except DependencyUnavailable:
            return Answer(None, 5, error="unreachable")


class FixedSecrets:
    """One secret for everybody."""

    async def webhook_secrets(self, tenant: str) -> list[str]:
        return [SECRET]


class ReadyTopics:
    """All topics are there."""

    async def ensure(self, specs: Sequence[Any]) -> None:
        """Nothing to do."""


class Judging:
    """Reads the beginning and believes it; sometimes it meets a bug of ours."""

    def __init__(self, faults: Faults, on_bug: Callable[[], None]) -> None:
        self._faults, self._on_bug = faults, on_bug

    async def __call__(self, source: Source, filename: str, declared: str | None) -> Verdict:
        beginning = await source.read(0, 8)
        if self._faults.strikes(BUG, 0.08):
            self._on_bug()
            raise InjectedBug
        if beginning.startswith(BAD):
            return FileError(code="content_type_mismatch", message="not what it says")
        return Accepted("text/plain", "match")
