"""Kafka: the producer that every service publishes with, and FastStream's broker, always with manual commits."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from shared import events
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.kafka_access import client_options, security
from shared.limits import KIB, MIB
from shared.lost_logs import FromTheStart
from shared.odd_records import read_odd_records
from shared.process import closed
from shared.settings import EngineSettings
from shared.topics import Topic

PENDING_BYTES: Final = 16 * MIB  # an idempotent producer never gives a batch up, so what waits in it is bounded here
MESSAGE_BYTES: Final = 8 * MIB + 64 * KIB  # the largest command, and what a dead letter adds
POLL_MS: Final = 1000
SLEEP_MS: Final = 5
GATHER_SECONDS: Final = 0.1  # batches begin at least so far apart, so that each is worth its round trips
METADATA_SECONDS: Final = 300.0

Record: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"
Outgoing = tuple[str, events._Event, str]  # topic, event, traceparent
OnBatch = Callable[[tuple[Record, ...], AIOKafkaConsumer], Awaitable[None]]


class Publisher:
    """Publishes events and raw records. A send that timed out is unknown, not failed: publishing again is allowed."""

    def __init__(self, producer: AIOKafkaProducer, on_dead: Callable[[], None], send_seconds: float = 10.0) -> None:
        self._producer, self._on_dead, self._send_seconds = producer, on_dead, send_seconds
        self._pending = 0

    async def publish(self, topic: str, event: events._Event, traceparent: str) -> None:
        """Publish one event; returns when all in-sync replicas have it. Raises DependencyUnavailable."""
        await self.send(topic, event.message_key, events.encode(event), events.headers(event, traceparent))

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]:
        """Publish all at once; per item None, or why it is not known to be published."""
        return await asyncio.gather(*(self.publish(*item) for item in outgoing), return_exceptions=True)

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[events.Header]) -> None:
        """Publish one raw record. Raises DependencyUnavailable."""
        size = len(value or b"")
        if self._pending + size > PENDING_BYTES:
            raise DependencyUnavailable("kafka", "16 MiB wait already")
        try:
            async with asyncio.timeout(self._send_seconds):
                acknowledged = await self._producer.send(topic, value, key=key, headers=list(headers))
                self._pending += size
                acknowledged.add_done_callback(lambda _: self._release(size))
                await asyncio.shield(acknowledged)
            DEPENDENCIES.answered("kafka")
        except (KafkaError, TimeoutError) as error:
            DEPENDENCIES.failed("kafka")
            if self._dead():
                self._on_dead()
            raise DependencyUnavailable("kafka", type(error).__name__) from error

    def _dead(self) -> bool:
        """Whether aiokafka's sender has ended, as it does on fatal errors (a fenced producer)."""
        task = self._producer._sender.sender_task
        return task is not None and task.done()

    def _release(self, size: int) -> None:
        self._pending -= size


def _nothing() -> None: ...


@asynccontextmanager
async def open_publisher(settings: EngineSettings, on_dead: Callable[[], None] = _nothing) -> AsyncIterator[Publisher]:
    """A started producer: acknowledged by all in-sync replicas, idempotent where the broker can.

    `on_dead` is called when it can't be used any more: a new one is needed.
    """
    producer = AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        enable_idempotence=settings.kafka_idempotence,
        max_request_size=MESSAGE_BYTES,
        max_batch_size=256 * 1024,
        linger_ms=2,
        request_timeout_ms=int(settings.kafka_send_seconds * 1000),
    )
    try:
        await producer.start()
    except KafkaError as error:
        DEPENDENCIES.failed("kafka")
        raise DependencyUnavailable("kafka", type(error).__name__) from error
    try:
        yield Publisher(producer, on_dead, settings.kafka_send_seconds)
    finally:
        # What an absent broker has not taken would be waited for: whoever sent it was told that its fate is unknown.
        await closed(producer.stop(), "kafka.producer")


class _WaitingConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """FastStream sleeps as long as it has polled in vain; so here polls end when there is something to take.

    An idle service wakes up a third as often, and what arrives is taken at once.
    """

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Any:
        return await super().getmany(*partitions, timeout_ms=max(timeout_ms, POLL_MS), max_records=max_records)

    async def stop(self) -> None:
        """Leave the group, which frees the partitions at once; an absent broker notices by itself later."""
        await closed(super().stop(), "kafka.consumer")


class ConsumingBroker(KafkaBroker):
    """Consumes only."""

    async def start(self) -> None:
        """Connect, which chooses the consumer's class, and choose another."""
        await self.connect()
        read_odd_records()
        config = self.config.broker_config
        config.builder = partial(_WaitingConsumer, **config.builder.keywords)  # type: ignore[attr-defined]
        try:
            await super().start()
        except KafkaError as error:
            DEPENDENCIES.failed("kafka")
            raise DependencyUnavailable("kafka", type(error).__name__) from error

    async def hand_back(self, seconds: float) -> None:
        """Take nothing more, wait so long for the batch in hand, give the partitions back."""
        self.config.broker_config.graceful_timeout = seconds
        await self.stop()


def consuming_broker(settings: EngineSettings, metadata_seconds: float = METADATA_SECONDS) -> ConsumingBroker:
    """FastStream's broker for consuming only, always with manual commits: FastStream's own defaults lose records.

    New topics that match a pattern are found after `metadata_seconds`.
    """
    return ConsumingBroker(
        settings.kafka_bootstrap,
        security=security(settings),
        metadata_max_age_ms=int(metadata_seconds * 1000),
        consumer_only=True,
        ack_policy=AckPolicy.MANUAL,
        apply_types=False,
        logger=None,
    )


def attach(
    broker: KafkaBroker,
    settings: EngineSettings,
    topic: Topic,
    group: str,
    on_batch: OnBatch,
    listener: ConsumerRebalanceListener,
    max_records: int,
    fetch_bytes: int = MESSAGE_BYTES,
) -> None:
    """Hand every batch of a topic, or of all topics of a pattern, undecoded, to `on_batch` with the consumer.

    `fetch_bytes` of a partition come at a time, or one batch of the producer if that is larger.
    """

    async def parse(message: tuple[Record, ...]) -> KafkaMessage:
        # FastStream's parser decodes headers; one odd header would drop the record and the next commit would pass it.
        return KafkaMessage(raw_message=message, body=b"", consumer=subscriber.consumer)  # type: ignore[arg-type]

    async def decode(message: KafkaMessage) -> Any:
        return message.raw_message

    subscriber = broker.subscriber(
        *([topic] if isinstance(topic, str) else []),
        pattern=None if isinstance(topic, str) else topic.pattern,
        group_id=group,
        group_instance_id=settings.kafka_instance_id or None,  # an empty variable says nothing
        batch=True,
        batch_timeout_ms=SLEEP_MS,
        max_records=max_records,
        auto_offset_reset="earliest",
        session_timeout_ms=int(settings.kafka_session_seconds * 1000),
        heartbeat_interval_ms=int(settings.kafka_session_seconds * 1000 / 4),
        max_partition_fetch_bytes=fetch_bytes,
        listener=FromTheStart(listener, lambda: subscriber.consumer),
        parser=parse,
        decoder=decode,
        no_reply=True,
    )

    @subscriber
    async def hand_over(records: tuple[Record, ...]) -> None:
        begun = time.monotonic()
        await on_batch(records, subscriber.consumer)
        await asyncio.sleep(begun + GATHER_SECONDS - time.monotonic())
