"""Offsets of a log that is gone: a broker that began again at 0, while its groups still committed what they knew.

A commit that is under way when the embedded broker restarts may reach it after its group was forgotten, and an empty
group takes it. Nothing would be consumed then until the new log is as long as the old one was.
"""

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

log = structlog.get_logger()


class FromTheStart(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells a listener of its partitions, then lets those begin anew whose committed offset lies beyond their end."""

    def __init__(self, listener: ConsumerRebalanceListener, consumer: Callable[[], AIOKafkaConsumer]) -> None:
        self._listener, self._consumer = listener, consumer

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Pass it on."""
        await self._listener.on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Pass it on, then look. If the broker does not answer, the watchdog finds what stands still.

        aiokafka hands out records of the new assignment while this runs. A listener that hears of it only after the
        broker was asked takes them for those of the old one, drops them, and the next commit passes them by.
        """
        log.info("partitions.assigned", count=len(assigned))
        await self._listener.on_partitions_assigned(assigned)
        try:
            await begin_anew(self._consumer(), assigned)
        except KafkaError as error:
            log.warning("offsets.unknown", error=type(error).__name__)


async def begin_anew(consumer: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
    """Go to the start of every log that is shorter than what was committed of it, and commit that."""
    committed = await asyncio.gather(*(consumer.committed(each) for each in partitions))
    ends = await consumer.end_offsets(list(partitions))
    lost = [each for each, offset in zip(partitions, committed, strict=True) if (offset or 0) > ends[each]]
    if not lost:
        return
    starts = await consumer.beginning_offsets(lost)
    for partition, start in starts.items():
        log.warning("offsets.of_a_lost_log", topic=partition.topic, partition=partition.partition)
        consumer.seek(partition, start)
    await consumer.commit(starts)
