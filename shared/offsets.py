"""Ask the broker: where topics end, and whether a consumer group has passed a noted end (design §2)."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.kafka_access import client_options
from shared.process import closed
from shared.settings import EngineSettings
from shared.topics import Topic, group_of

POLL_SECONDS: Final = 1.0
ASK_MS: Final = 10_000  # a broker that does not answer such a question is away
Note = dict[TopicPartition, int]


class Progress(Enum):
    """How a group stands to a note."""

    PASSED = "it has passed the noted end on all partitions"
    BEHIND = "something below the noted end is still uncommitted"
    SHRUNK = "the log is shorter than its note: the broker began again; note anew"


class Lag(NamedTuple):
    """How far a group is behind in one partition: from what it committed to the end."""

    group: str
    topic: str
    partition: int
    committed: int
    end: int

    @property
    def lag(self) -> int:
        """Records that it has still to work off."""
        return max(self.end - self.committed, 0)


class BrokerOffsets:
    """Reads ends and committed offsets; never consumes."""

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient) -> None:
        self._consumer, self._admin = consumer, admin

    async def ends(self, topic: Topic) -> Note:
        """The next offset of every partition, of a pattern those of every topic that matches."""
        with _translated():
            partitions = await self._partitions(topic)
            return dict(await self._consumer.end_offsets(partitions)) if partitions else {}

    async def lags(self, topic: Topic) -> list[Lag]:
        """Of the group that reads the topic, or all topics of a pattern: every partition."""
        ends = await self.ends(topic)
        reached = await self.reached(topic, ends) if ends else {}
        return [Lag(group_of(topic), each.topic, each.partition, reached[each], ends[each]) for each in sorted(ends)]

    async def starts(self, partitions: Iterable[TopicPartition]) -> Note:
        """The first offset that the broker still has, of each partition."""
        with _translated():
            return dict(await self._consumer.beginning_offsets(list(partitions)))

    async def _partitions(self, topic: Topic) -> list[TopicPartition]:
        if isinstance(topic, re.Pattern):
            names = [name for name in await self._admin.list_topics() if topic.match(name)]
        else:
            names = [topic]
        described = await self._admin.describe_topics(names) if names else []
        found = [TopicPartition(one["topic"], each["partition"]) for one in described for each in one["partitions"]]
        if names and not found:  # unknown, or not ours to see: that is no empty topic
            raise DependencyUnavailable("kafka", f"{names[0]} has no partitions")
        return found

    async def reached(self, topic: Topic, partitions: Iterable[TopicPartition]) -> Note:
        """How far the group that reads the topic has come: the larger of what it committed and the start of the log."""
        named = list(partitions)
        with _translated():
            # The embedded broker answers only when the partitions are named.
            found = await self._admin.list_consumer_group_offsets(group_of(topic), partitions=named)
            starts = await self._consumer.beginning_offsets(named)
        return {each: max(found[each].offset if each in found else -1, starts[each]) for each in named}

    async def progress(self, topic: str, note: Note) -> Progress:
        """Whether the group that reads the topic has passed the note."""
        ends = await self.ends(topic)
        if any(ends.get(partition, 0) < noted for partition, noted in note.items()):
            return Progress.SHRUNK
        reached = await self.reached(topic, note)
        return Progress.PASSED if all(reached[each] >= noted for each, noted in note.items()) else Progress.BEHIND

    async def passed(self, topic: str, still_wanted: Callable[[], Awaitable[bool]]) -> bool:
        """Note the ends now and wait until the topic's group has passed them; False when that is no longer wanted."""
        note = await self.ends(topic)
        while (progress := await self.progress(topic, note)) is not Progress.PASSED:
            if not await still_wanted():
                return False
            note = await self.ends(topic) if progress is Progress.SHRUNK else note
            await asyncio.sleep(POLL_SECONDS)
        return True


class _translated:
    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (KafkaError, TimeoutError)):
            DEPENDENCIES.failed("kafka")
            raise DependencyUnavailable("kafka", type(error).__name__) from error
        if error is None:
            DEPENDENCIES.answered("kafka")


@asynccontextmanager
async def open_offsets(settings: EngineSettings) -> AsyncIterator[BrokerOffsets]:
    """Connected readers of offsets; no consumer group is joined."""
    options = client_options(settings) | {"request_timeout_ms": ASK_MS}
    # A topic ends for us where consumers are let: at the first transaction that is still open.
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, isolation_level="read_committed")
    admin = AIOKafkaAdminClient(**options)
    try:
        with _translated():
            await consumer.start()
            await admin.start()
        yield BrokerOffsets(consumer, admin)
    finally:
        await closed(consumer.stop(), "kafka.offsets")
        await closed(admin.close(), "kafka.admin")
