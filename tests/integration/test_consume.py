"""Batches on a real broker: what is committed, what comes again, what is dead-lettered."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared import topics
from shared.broker import attach, consuming_broker
from shared.consume import BatchConsumer, Delivery, decode
from shared.dead_letters import DeadLetters
from shared.errors import DependencyUnavailable
from shared.events import MutationFetched, encode
from shared.offsets import open_offsets
from shared.publisher import Publisher, open_publisher
from shared.settings import EngineSettings
from tests.factories import fetched, mutation, new_id
from tests.odd_records import ODD_HEADER, as_zstd, odd_batch
from tests.retry import eventually

pytestmark = pytest.mark.broker
TRACE = f"00-{'1' * 32}-{'2' * 16}-01"
Handle = Callable[[Sequence[Delivery[MutationFetched]]], Awaitable[None]]


@dataclass
class Place:
    """A topic of its own, and what became of its records."""

    settings: EngineSettings
    topic: str
    publisher: Publisher
    admin: AIOKafkaAdminClient
    seen: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)

    async def publish(self, count: int) -> list[str]:
        events = [fetched(mutation()) for _ in range(count)]
        assert await self.publisher.publish_many((self.topic, event, TRACE) for event in events) == [None] * count
        return [event.mutation_id for event in events]

    async def committed(self) -> int:
        partition = TopicPartition(self.topic, 0)
        found = await self.admin.list_consumer_group_offsets(self.topic, partitions=[partition])
        return int(found[partition].offset) if partition in found else -1

    async def on_bug(self, delivery: Delivery[MutationFetched], error: Exception) -> None:
        self.bugs.append(delivery.event.mutation_id)

    @asynccontextmanager
    async def consuming(self, handle: Handle, on_bug: Any = None) -> AsyncIterator[None]:
        read = partial(decode, MutationFetched)
        batches = BatchConsumer(read, handle, DeadLetters(self.publisher), on_bug or self.on_bug, _nothing)
        broker = consuming_broker(self.settings)
        attach(broker, self.settings, self.topic, self.topic, batches, 10)
        await broker.start()
        try:
            yield
        finally:
            await broker.stop()


def _nothing() -> None: ...


@pytest_asyncio.fixture
async def place(servers: dict[str, Any]) -> AsyncIterator[Place]:
    settings = EngineSettings(kafka_bootstrap=servers["kafka"], kafka_idempotence=False)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    topic = f"test.{new_id()}"
    await admin.create_topics([NewTopic(topic, 1, 1), NewTopic(topics.dead_letter(topic), 1, 1)])
    async with open_publisher(settings) as publisher:
        yield Place(settings, topic, publisher, admin)
    await admin.close()


async def test_an_absent_dependency_holds_the_batch_and_loses_nothing(place: Place) -> None:
    away, tries = [True], [0]

    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        tries[0] += 1
        if away[0]:
            raise DependencyUnavailable("mongodb")
        place.seen += [delivery.event.mutation_id for delivery in deliveries]

    sent = await place.publish(20)
    async with place.consuming(handle):
        await eventually(lambda: _equal(tries[0] > 2, True))
        assert await place.committed() <= 0
        away[0] = False
        await eventually(lambda: _equal(sorted(place.seen), sorted(sent)))
        await eventually(lambda: _committed(place, 20))


async def test_one_poisoned_record_and_one_bug_leave_the_others_alone(place: Place) -> None:
    first = await place.publish(3)
    await place.publisher.send(place.topic, b"key", b"not an event", [("odd", b"\xff\xfe")])
    last = await place.publish(3)

    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        if any(delivery.event.mutation_id == first[1] for delivery in deliveries):
            raise ValueError("a bug")
        place.seen += [delivery.event.mutation_id for delivery in deliveries]

    async with place.consuming(handle):
        await eventually(lambda: _committed(place, 7))
    assert sorted(set(place.seen)) == sorted([first[0], first[2], *last])
    assert place.bugs == [first[1]]
    letters = TopicPartition(topics.dead_letter(place.topic), 0)
    assert await _end(place, letters) == 1


async def test_a_header_whose_name_is_no_text_costs_neither_its_record_nor_others(place: Place) -> None:
    first = await place.publish(3)
    odd = fetched(mutation())
    await _produce(place, odd_batch((encode(odd), [ODD_HEADER])))
    last = await place.publish(3)

    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        place.seen += [delivery.event.mutation_id for delivery in deliveries]

    async with place.consuming(handle):
        await eventually(lambda: _committed(place, 7))
    assert place.seen == [*first, odd.mutation_id, *last]


async def test_a_batch_that_can_not_be_unpacked_is_one_dead_letter(place: Place) -> None:
    first = await place.publish(1)
    await _produce(place, as_zstd(odd_batch((encode(fetched(mutation())), []))))
    last = await place.publish(1)

    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        place.seen += [delivery.event.mutation_id for delivery in deliveries]

    async with place.consuming(handle):
        await eventually(lambda: _committed(place, 3))
    assert place.seen == [*first, *last]
    assert await _end(place, TopicPartition(topics.dead_letter(place.topic), 0)) == 1


async def test_offsets_of_a_log_that_is_gone_hold_nobody_up(place: Place) -> None:
    stale = AIOKafkaConsumer(
        bootstrap_servers=place.settings.kafka_bootstrap, group_id=place.topic, enable_auto_commit=False
    )
    await stale.start()
    stale.assign([TopicPartition(place.topic, 0)])
    await stale.commit({TopicPartition(place.topic, 0): 87})
    await stale.stop()
    sent = await place.publish(3)

    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        place.seen += [delivery.event.mutation_id for delivery in deliveries]

    async with place.consuming(handle):
        await eventually(lambda: _committed(place, 3))
    assert place.seen == sent


async def test_a_bug_in_deciding_about_a_bug_commits_nothing_past_it(place: Place) -> None:
    first, *_ = await place.publish(2)
    undecided: list[str] = []

    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        raise ValueError("a bug")

    async def on_bug(delivery: Delivery[MutationFetched], error: Exception) -> None:
        undecided.append(delivery.event.mutation_id)
        raise RuntimeError("another bug")

    async with place.consuming(handle, on_bug):
        await eventually(lambda: _equal(undecided[:1], [first]))
        await place.publish(2)
        await eventually(lambda: _equal(undecided[:2], [first, first]))  # it comes again, before what is behind it
        assert await place.committed() <= 0


@pytest.mark.kafka
async def test_of_transactions_only_what_is_committed_is_handled_and_nothing_of_them_stays_uncommitted(
    place: Place,
) -> None:
    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        place.seen += [delivery.event.mutation_id for delivery in deliveries]

    async with transactional(place) as produced, open_offsets(place.settings) as offsets, place.consuming(handle):
        committed = await produced("committed")
        await eventually(lambda: _committed(place, 2))  # a record, and the marker that no consumer is given
        await produced("aborted")
        await eventually(lambda: _committed(place, 4))

        still_open = await produced("open")
        assert await offsets.ends(place.topic) == {TopicPartition(place.topic, 0): 4}, "nobody lags behind what is open"
        await place.publish(1)
        assert (place.seen, await place.committed()) == ([committed], 4)
        await produced.producer.commit_transaction()
        await eventually(lambda: _committed(place, 7))
    assert place.seen[:2] == [committed, still_open]


@pytest.mark.kafka
async def test_who_starts_before_a_marker_that_was_left_commits_it(place: Place) -> None:
    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        place.seen += [delivery.event.mutation_id for delivery in deliveries]

    async with transactional(place) as produced:
        await produced("aborted")
    async with place.consuming(handle):
        await eventually(lambda: _committed(place, 2))
    assert place.seen == []


@dataclass
class Transactions:
    """A producer's transactions of one event each, which end as they are told; gives the event's mutation."""

    place: Place
    producer: AIOKafkaProducer

    async def __call__(self, end: str) -> str:
        event = fetched(mutation())
        await self.producer.begin_transaction()
        await self.producer.send_and_wait(self.place.topic, encode(event))
        if end == "committed":
            await self.producer.commit_transaction()
        if end == "aborted":
            await self.producer.abort_transaction()
        return event.mutation_id


@asynccontextmanager
async def transactional(place: Place) -> AsyncIterator[Transactions]:
    producer = AIOKafkaProducer(bootstrap_servers=place.settings.kafka_bootstrap, transactional_id=place.topic)
    await producer.start()
    try:
        yield Transactions(place, producer)
    finally:
        await producer.stop()


async def _produce(place: Place, batch: bytes) -> None:
    """Produce a batch of one record just as it is."""
    producer = AIOKafkaProducer(bootstrap_servers=place.settings.kafka_bootstrap)
    await producer.start()
    try:
        builder = producer.create_batch()
        builder.append(key=b"key", value=b"", timestamp=None)
        builder._buffer = batch
        await (await producer.send_batch(builder, place.topic, partition=0))
    finally:
        await producer.stop()


async def _equal(seen: Any, wanted: Any) -> None:
    assert seen == wanted


async def _committed(place: Place, offset: int) -> None:
    assert await place.committed() == offset


async def _end(place: Place, partition: TopicPartition) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=place.settings.kafka_bootstrap)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([partition]))[partition])
    finally:
        await consumer.stop()


@pytest.mark.kafka
async def test_a_producer_whose_sequence_the_broker_lost_is_replaced(place: Place) -> None:
    event = fetched(mutation())
    async with open_publisher(place.settings.model_copy(update={"kafka_idempotence": True})) as publisher:
        await publisher.publish(place.topic, event, TRACE)
        # As after a batch that was given up when the broker restarted: what comes next is out of order, for ever.
        publisher._line.producer._txn_manager.increment_sequence_number(TopicPartition(place.topic, 0), 3)
        with pytest.raises(DependencyUnavailable, match="OutOfOrderSequenceNumber"):
            await publisher.publish(place.topic, event, TRACE)

        await publisher.publish(place.topic, event, TRACE)
