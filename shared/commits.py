"""How far a group has come: offsets are committed by hand, and whoever commits nothing goes back."""

from collections.abc import Iterable
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from shared.broker import Record
from shared.observability import COMMIT_ERRORS
from shared.topics import family

log = structlog.get_logger()


async def commit(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> bool:
    """Commit explicit next offsets; a refused commit is counted, the records come again."""
    try:
        await consumer.commit(offsets)
    except (KafkaError, IllegalStateError) as error:
        COMMIT_ERRORS.labels(family(next(iter(offsets)).topic)).inc()
        log.warning("commit.refused", error=type(error).__name__)
        return False
    return True


def next_offsets(records: Iterable[Record]) -> dict[TopicPartition, int]:
    """The offsets to commit once all these records are worked off."""
    ends: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        ends[partition] = max(ends.get(partition, 0), record.offset + 1)
    return ends


def go_back(records: Iterable[Record], consumer: AIOKafkaConsumer) -> None:
    """Have them handed over again: a position that has moved on without them would let the next commit pass them by."""
    first: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(record.topic, record.partition)
        first[partition] = min(first.get(partition, record.offset), record.offset)
    for partition, offset in first.items():
        with suppress(IllegalStateError):  # no longer ours: whoever has it begins at the committed offset
            consumer.seek(partition, offset)
