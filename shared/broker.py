"""FastStream's broker, for consuming only, always with manual commits."""

import asyncio
import time
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
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


class Consuming(Protocol):
    """Works off what comes of a topic; it is asked by one task, so never twice at a time."""

    async def on_poll(self, positions: dict[TopicPartition, int], consumer: AIOKafkaConsumer) -> None:
        """More is asked for: all records before these positions were handed to `on_batch`, and that has returned.

        Not every offset holds a record: transactions end with markers, and what was aborted or compacted is left out.
        """
        ...

    async def on_batch(self, records: tuple[Record, ...], consumer: AIOKafkaConsumer) -> None:
        """Work them off, and commit when it is done."""
        ...

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Ours no longer."""
        ...

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """All that are ours from now on."""
        ...


class _WaitingConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """FastStream sleeps as long as it has polled in vain; so here polls end when there is something to take.

    An idle service wakes up a third as often, and what arrives is taken at once.
    """

    def __init__(self, consuming: Consuming, **options: Any) -> None:
        super().__init__(**options)
        self._consuming = consuming

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Any:
        await self._consuming.on_poll(self._positions(), self)
        return await super().getmany(*partitions, timeout_ms=max(timeout_ms, POLL_MS), max_records=max_records)

    def _positions(self) -> dict[TopicPartition, int]:
        """As far as they are known; for others aiokafka's `position` would wait."""
        assignment = self._subscription.subscription.assignment
        known = assignment.all_consumed_offsets() if assignment else {}
        return {partition: position.offset for partition, position in known.items()}

    async def stop(self) -> None:
        """Leave the group, which frees the partitions at once; an absent broker notices by itself later."""
        await closed(super().stop(), "kafka.consumer")


class ConsumingBroker(KafkaBroker):
    """Consumes only, for one who is attached before the start."""

    consuming: Consuming

    async def start(self) -> None:
        """Connect, which chooses the consumer's class, and choose another."""
        await self.connect()
        read_odd_records()
        config = self.config.broker_config
        config.builder = partial(_WaitingConsumer, self.consuming, **config.builder.keywords)  # type: ignore[attr-defined]
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
    broker: ConsumingBroker,
    settings: EngineSettings,
    topic: Topic,
    group: str,
    consuming: Consuming,
    max_records: int,
    fetch_bytes: int = MESSAGE_BYTES,
) -> None:
    """Hand every batch of a topic, or of all topics of a pattern, undecoded, to its `on_batch` with the consumer.

    `fetch_bytes` of a partition come at a time, or one batch of the producer if that is larger.
    """

    async def parse(message: tuple[Record, ...]) -> KafkaMessage:
        # FastStream's parser decodes headers; one odd header would drop the record and the next commit would pass it.
        return KafkaMessage(raw_message=message, body=b"", consumer=subscriber.consumer)  # type: ignore[arg-type]

    async def decode(message: KafkaMessage) -> Any:
        return message.raw_message

    broker.consuming = consuming
    subscriber = broker.subscriber(
        *([topic] if isinstance(topic, str) else []),
        pattern=None if isinstance(topic, str) else topic.pattern,
        group_id=group,
        group_instance_id=settings.kafka_instance_id or None,  # an empty variable says nothing
        batch=True,
        batch_timeout_ms=SLEEP_MS,
        max_records=max_records,
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # whoever aborts a transaction has sent nothing
        session_timeout_ms=int(settings.kafka_session_seconds * 1000),
        heartbeat_interval_ms=int(settings.kafka_session_seconds * 1000 / HEARTBEATS),
        max_partition_fetch_bytes=fetch_bytes,
        listener=FromTheStart(consuming, lambda: subscriber.consumer),
        parser=parse,
        decoder=decode,
        no_reply=True,
    )

    @subscriber
    async def hand_over(records: tuple[Record, ...]) -> None:
        begun = time.monotonic()
        await consuming.on_batch(records, subscriber.consumer)
        worked = time.monotonic() - begun
        await asyncio.sleep(min(worked, GATHER_SECONDS - worked))
