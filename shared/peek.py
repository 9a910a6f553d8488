"""Reads records from named offsets without a consumer group: whoever looks changes nothing for those who work."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared.broker import Record
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.kafka_access import client_options
from shared.limits import MIB
from shared.odd_records import read_odd_records
from shared.offsets import ASK_MS
from shared.process import closed
from shared.settings import EngineSettings

AT_ONCE: Final = 100  # records that are in hand at a time
WAIT_MS: Final = 500
FETCH_BYTES: Final = MIB  # of a partition at a time; a larger record comes alone


class Peek:
    """One reader of some partitions; `left`: what the present reading has still to come to, or the last one did not."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer, self.left = consumer, dict[TopicPartition, tuple[int, int]]()

    async def read(
        self, spans: Mapping[TopicPartition, tuple[int, int]], seconds: float
    ) -> AsyncIterator[list[Record]]:
        """Records of each span (first offset, end), some at a time, until all have come or the time is over."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        left = self.left = {partition: span for partition, span in spans.items() if span[0] < span[1]}
        self._consumer.assign(list(left))
        for partition, (first, _) in left.items():
            self._consumer.seek(partition, first)
        while left and clock() < until:
            with _reaching():
                found = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=AT_ONCE)
            for partition, records in found.items():
                if partition not in left:
                    continue
                end = left[partition][1]
                yield [record for record in records if record.offset < end]
                reached = records[-1].offset + 1 if records else left[partition][0]
                left[partition] = reached, end
                if reached >= end:
                    del left[partition]
                    self._consumer.pause(partition)


@contextmanager
def _reaching() -> Iterator[None]:
    """An answer is none to note: `getmany` gives nothing, and no error, while the broker is away."""
    try:
        yield
    except KafkaError as error:
        DEPENDENCIES.failed("kafka")
        raise DependencyUnavailable("kafka", type(error).__name__) from error


@asynccontextmanager
async def open_peek(settings: EngineSettings) -> AsyncIterator[Peek]:
    """A reader on connections of its own: it is seldom needed. Raises DependencyUnavailable."""
    read_odd_records()
    consumer = AIOKafkaConsumer(
        **client_options(settings) | {"request_timeout_ms": ASK_MS},
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # of a log that was cut meanwhile
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        with _reaching():
            await consumer.start()
        # A task of it that is cancelled before it ever ran would end its stop, and so whoever waits for that.
        await asyncio.sleep(0)
        yield Peek(consumer)
    finally:
        await closed(consumer.stop(), "kafka.peek")
