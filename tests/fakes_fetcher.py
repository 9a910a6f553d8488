"""Stand-ins for what the fetcher talks to: small real classes, each can be away for a while."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from aiokafka import TopicPartition

from services.fetcher.handler import Downloaded
from shared.errors import DependencyUnavailable
from shared.events import FileError, Header, MutationFetched
from tests.fakes import InMemoryBlobs


class Flaky:
    """Away for so many calls."""

    def __init__(self) -> None:
        self.away = 0

    def call(self) -> None:
        if self.away:
            self.away -= 1
            raise DependencyUnavailable("fake")


class FlakyBlobs(InMemoryBlobs, Flaky):
    """An object store that may be away."""

    def __init__(self) -> None:
        InMemoryBlobs.__init__(self)
        Flaky.__init__(self)

    async def put(self, key: str, body: object, size: int, content_type: str | None = None) -> None:
        self.call()
        assert not isinstance(body, str)
        await super().put(key, body, size, content_type)  # type: ignore[arg-type]


class ScriptedDownloader:
    """Answers by URL: bytes, a failure, or a bug; `gates` hold a URL back until they are set."""

    def __init__(self, **answers: bytes | FileError | Exception) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.held: set[str] = set()

    async def download(self, url: str) -> Downloaded | FileError:
        self.asked.append(url)
        if url in self.held:
            await self.gates[url].wait()
        answer = self.answers.get(url, b"bytes")
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, FileError) else Downloaded(answer, len(answer), f"sha:{url}", "text/plain")


class ListedLedger(Flaky):
    """Knows which mutations have ended."""

    def __init__(self, *ended: str) -> None:
        super().__init__()
        self._ended = set(ended)
        self.reads: list[tuple[str, list[str]]] = []

    async def ended(self, environment: str, ids: list[str]) -> set[str]:
        self.call()
        self.reads.append((environment, ids))
        return self._ended & set(ids)


class RecordingPublisher(Flaky):
    """Keeps what was published and what was dead-lettered."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[tuple[str, MutationFetched, str]] = []
        self.letters: list[tuple[str, bytes | None]] = []

    async def publish(self, topic: str, event: MutationFetched, traceparent: str) -> None:
        self.call()
        self.published.append((topic, event, traceparent))

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[Header]) -> None:
        self.call()
        self.letters.append((topic, value))

    @property
    def ids(self) -> list[str]:
        return [event.mutation_id for _, event, _ in self.published]


@dataclass(frozen=True)
class FakeRecord:
    """A record as it comes from the broker."""

    value: bytes | None
    offset: int
    partition: int = 0
    topic: str = "mutations.accepted"
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = 1_767_225_600_000


class FakeKafkaConsumer:
    """The broker's side of one member: assignment, pauses, committed offsets; may refuse commits."""

    def __init__(self, *partitions: int) -> None:
        self.assigned = {TopicPartition("mutations.accepted", number) for number in partitions or (0,)}
        self.stopped: set[TopicPartition] = set()
        self.offsets: dict[int, int] = {}
        self.refusals: list[Exception] = []
        self.sought: dict[int, int] = {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition.partition] = offset

    def assignment(self) -> set[TopicPartition]:
        return set(self.assigned)

    def paused(self) -> set[TopicPartition]:
        return set(self.stopped)

    def pause(self, *partitions: TopicPartition) -> None:
        self.stopped |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.stopped -= set(partitions)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.offsets.update({partition.partition: offset for partition, offset in offsets.items()})
