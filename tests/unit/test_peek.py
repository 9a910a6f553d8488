"""What a reader of named offsets has read, and what it has left when its time is over."""

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from shared.peek import Peek

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)
Offsets = dict[TopicPartition, list[int]]


class Consumer:
    """Gives what a test says, and then nothing, as while a broker is away."""

    def __init__(self, *gifts: Offsets) -> None:
        self._gifts = list(gifts)
        self.assigned: list[TopicPartition] = []
        self.paused: list[TopicPartition] = []
        self.sought: dict[TopicPartition, int] = {}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.assigned = partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset

    def pause(self, partition: TopicPartition) -> None:
        self.paused.append(partition)

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.001)
        gift = self._gifts.pop(0) if self._gifts else {}
        return {each: [SimpleNamespace(offset=offset) for offset in offsets] for each, offsets in gift.items()}


async def test_what_was_not_come_to_in_the_time_is_left() -> None:
    consumer: Any = Consumer({ZERO: [5, 6], ONE: [1, 2, 3]}, {ZERO: [8]})
    peek = Peek(consumer)
    read = [[one.offset for one in some] async for some in peek.read({ZERO: (5, 20), ONE: (0, 3)}, 0.1)]

    assert (read, peek.left) == ([[5, 6], [1, 2], [8]], {ZERO: (9, 20)})
    assert (consumer.sought, consumer.paused) == ({ZERO: 5, ONE: 0}, [ONE])


async def test_of_what_was_read_to_its_end_nothing_is_left() -> None:
    consumer: Any = Consumer({ZERO: [5, 6]})
    peek = Peek(consumer)
    read = [some async for some in peek.read({ZERO: (5, 7), ONE: (3, 3)}, 60)]

    assert (len(read), peek.left, consumer.assigned) == (1, {}, [ZERO])
