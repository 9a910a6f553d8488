"""How far batches are committed: also where offsets hold no record, and never past what is not done."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError
from structlog.testing import capture_logs

from shared.broker import Record
from shared.consume import BatchConsumer, Delivery
from shared.dead_letters import DeadLetters

HERE = TopicPartition("mutations.test", 0)


class Kafka:
    """Takes commits, refuses some first."""

    def __init__(self, refusals: int = 0) -> None:
        self.commits: list[int] = []
        self._refusals = refusals

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self._refusals:
            self._refusals -= 1
            raise CommitFailedError
        self.commits.append(offsets[HERE])


class Member:
    """A consumer of one partition whose work goes on while `gate` is closed."""

    def __init__(self, refusals: int = 0) -> None:
        self.kafka, self.gate = Kafka(refusals), asyncio.Event()
        self.gate.set()
        self.batches = BatchConsumer(_read, self._handle, DeadLetters(None), _bug, _bug, 0.01)  # type: ignore[arg-type]

    async def assigned(self) -> "Member":
        await self.batches.on_partitions_assigned({HERE})
        return self

    async def takes(self, *offsets: int) -> None:
        records = tuple(ConsumerRecord(*HERE, offset, 0, 0, None, b"", None, 0, 0, ()) for offset in offsets)
        await self.batches.on_batch(records, cast(AIOKafkaConsumer, self.kafka))

    async def asks_for_more(self, position: int) -> list[int]:
        """A poll begins at this position; all that is committed by then."""
        with capture_logs():
            await self.batches.on_poll({HERE: position}, cast(AIOKafkaConsumer, self.kafka))
        return self.kafka.commits

    async def _handle(self, _: Sequence[Delivery[int]]) -> None:
        await self.gate.wait()


def _read(record: Record) -> Delivery[int]:
    return Delivery(record.offset, "", record)


async def _bug(*_: Any) -> None:
    raise AssertionError


async def test_offsets_that_hold_no_record_are_committed_once() -> None:
    member = await Member().assigned()
    await member.takes(0)
    assert await member.asks_for_more(1) == [1]
    assert await member.asks_for_more(3) == [1, 3]
    assert await member.asks_for_more(3) == [1, 3]


async def test_a_position_that_was_never_committed_here_is_committed_after_each_assignment() -> None:
    member = await Member().assigned()
    assert await member.asks_for_more(7) == [7]
    await member.assigned()
    assert await member.asks_for_more(7) == [7, 7]


async def test_a_refused_commit_is_made_again_without_another_record() -> None:
    member = await Member(refusals=1).assigned()
    with capture_logs():
        await member.takes(0)
    assert await member.asks_for_more(1) == [1]


async def test_a_batch_that_was_dropped_while_its_partition_was_given_away_is_not_committed() -> None:
    member = await Member().assigned()
    member.gate.clear()
    batch = asyncio.create_task(member.takes(0))
    await asyncio.sleep(0)
    with capture_logs():
        await member.batches.on_partitions_revoked({HERE})
    member.gate.set()
    await batch
    assert await member.asks_for_more(1) == []
