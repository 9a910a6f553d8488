"""Partitions whose log is gone begin anew, and nobody waits for that to hear of an assignment."""

import asyncio
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from shared.lost_logs import FromTheStart

ONE, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: set[TopicPartition] = set()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None: ...

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.told = assigned


class Consumer:
    """A broker that knows of offsets, and answers only when it is let."""

    def __init__(self, committed: dict[TopicPartition, int | None], ends: dict[TopicPartition, int]) -> None:
        self.answers = asyncio.Event()
        self._committed, self._ends = committed, ends
        self.sought: dict[TopicPartition, int] = {}
        self.commits: list[dict[TopicPartition, int]] = []

    async def committed(self, partition: TopicPartition) -> int | None:
        await self.answers.wait()
        return self._committed[partition]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        await self.answers.wait()
        return {each: self._ends[each] for each in partitions}

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 3)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits.append(offsets)


def both(consumer: Consumer) -> tuple[Listener, FromTheStart]:
    listener = Listener()
    return listener, FromTheStart(listener, lambda: cast(AIOKafkaConsumer, cast(Any, consumer)))


async def test_a_listener_hears_of_its_partitions_before_the_broker_is_asked() -> None:
    consumer = Consumer({ONE: 5}, {ONE: 7})
    listener, told = both(consumer)
    telling = asyncio.create_task(told.on_partitions_assigned({ONE}))
    await asyncio.sleep(0)
    assert listener.told == {ONE}, "records of the new assignment may come from now on"
    consumer.answers.set()
    await telling
    assert (consumer.sought, consumer.commits) == ({}, [])


async def test_only_a_log_that_is_shorter_than_what_was_committed_begins_anew() -> None:
    consumer = Consumer({ONE: 87, OTHER: None}, {ONE: 4, OTHER: 0})
    consumer.answers.set()
    _, told = both(consumer)
    await told.on_partitions_assigned({ONE, OTHER})
    assert (consumer.sought, consumer.commits) == ({ONE: 3}, [{ONE: 3}])
