"""FastStream's broker, for consuming only, always with manual commits."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.kafka_access import security
from shared.lost_logs import FromTheStart
from shared.odd_records import read_odd_records
from shared.process import closed
from shared.publisher import MESSAGE_BYTES
from shared.settings import EngineSettings
from shared.topics import Topic

POLL_MS: Final = 1000
SLEEP_MS: Final = 5
GATHER_SECONDS: Final = 0.1  # of a flood; else a batch waits as long as the last one took (ADR 0018)
METADATA_SECONDS: Final = 300.0
# Members learn of a rebalance by the answer to a heartbeat: a replica that starts waits for the latest of them.
HEARTBEATS: Final = 10  # in a session

Record: TypeAlias = "ConsumerRecord[bytes | None, bytes | None]"
OnBatch = Callable[[tuple[Record, ...], AIOKafkaConsumer], Awaitable[None]]


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
        heartbeat_interval_ms=int(settings.kafka_session_seconds * 1000 / HEARTBEATS),
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
        worked = time.monotonic() - begun
        await asyncio.sleep(min(worked, GATHER_SECONDS - worked))
