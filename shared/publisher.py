"""The Kafka producer that every service publishes with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, UnknownProducerId

from shared import events
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.kafka_access import client_options
from shared.limits import KIB, MIB
from shared.metrics import watch_budget
from shared.observability import next_traceparent
from shared.process import closed
from shared.settings import EngineSettings
from shared.tracing import about, sending

log = structlog.get_logger()
PENDING_BYTES: Final = 16 * MIB  # an idempotent producer never gives a batch up, so what waits in it is bounded here
MESSAGE_BYTES: Final = 8 * MIB + 64 * KIB  # the largest command, and what a dead letter adds
SPENT: Final = (OutOfOrderSequenceNumber, UnknownProducerId)  # after a broker's restart, as a rule

Outgoing = tuple[str, events._Event, str]  # topic, event, the traceparent that it continues


class _Line:
    """One producer and the bytes that wait in it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer, self.pending = producer, 0

    def release(self, size: int) -> None:
        """So many are acknowledged, or given up."""
        self.pending -= size


class Publisher:
    """Publishes events and raw records. A send that timed out is unknown, not failed: publishing again is allowed.

    A producer whose sequence the broker has lost is refused for ever (aiokafka issue 1017): a new one takes its place.
    """

    def __init__(
        self, make: Callable[[], AIOKafkaProducer], on_dead: Callable[[], None], send_seconds: float = 10.0
    ) -> None:
        self._make, self._on_dead, self._send_seconds = make, on_dead, send_seconds
        self._line = _Line(make())
        self._renewing = asyncio.Lock()

    @property
    def pending(self) -> int:
        """Bytes that wait for their acknowledgement."""
        return self._line.pending

    async def start(self) -> None:
        """Connect. Raises DependencyUnavailable."""
        await _started(self._line.producer)

    async def stop(self) -> None:
        """What an absent broker has not taken would be waited for: who sent it was told that its fate is unknown."""
        await closed(self._line.producer.stop(), "kafka.producer")

    async def publish(self, topic: str, event: events._Event, traceparent: str, value: bytes | None = None) -> None:
        """Publish one event as the next step of a trace, under another body if one is given.

        Returns when all in-sync replicas have it. Raises DependencyUnavailable.
        """
        body = events.encode(event) if value is None else value
        what = about(event.mutation_id, event.tenant, event.environment, event.kind)
        with sending(topic, traceparent, len(body), what) as step:
            headers = events.headers(event, step.traceparent or next_traceparent(traceparent))
            await self.send(topic, event.message_key, body, headers)

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]:
        """Publish all at once; per item None, or why it is not known to be published."""
        return await asyncio.gather(*(self.publish(*item) for item in outgoing), return_exceptions=True)

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[events.Header]) -> None:
        """Publish one raw record. Raises DependencyUnavailable."""
        size, line = len(value or b""), self._line
        if line.pending + size > PENDING_BYTES:
            raise DependencyUnavailable("kafka", "16 MiB wait already")
        try:
            async with asyncio.timeout(self._send_seconds):
                acknowledged = await line.producer.send(topic, value, key=key, headers=list(headers))
                line.pending += size
                acknowledged.add_done_callback(lambda _: line.release(size))
                await asyncio.shield(acknowledged)
            DEPENDENCIES.answered("kafka")
        except (KafkaError, TimeoutError) as error:
            DEPENDENCIES.failed("kafka")
            if isinstance(error, SPENT):
                await self._renew(line)
            elif _dead(line.producer):
                self._on_dead()
            raise DependencyUnavailable("kafka", type(error).__name__) from error

    async def _renew(self, spent: _Line) -> None:
        """Put a new producer in the place of this one, once for all whose sends it has failed."""
        async with self._renewing:
            if self._line is not spent:
                return
            fresh = _Line(self._make())
            await _started(fresh.producer)
            self._line = fresh
            log.warning("producer.renewed")
            await closed(spent.producer.stop(), "kafka.producer")


def _dead(producer: AIOKafkaProducer) -> bool:
    """Whether aiokafka's sender has ended, as it does on fatal errors (a fenced producer)."""
    task = producer._sender.sender_task
    return task is not None and task.done()


async def _started(producer: AIOKafkaProducer) -> None:
    try:
        await producer.start()
    except KafkaError as error:
        DEPENDENCIES.failed("kafka")
        await closed(producer.stop(), "kafka.producer")
        raise DependencyUnavailable("kafka", type(error).__name__) from error


def _nothing() -> None: ...


@asynccontextmanager
async def open_publisher(settings: EngineSettings, on_dead: Callable[[], None] = _nothing) -> AsyncIterator[Publisher]:
    """A started producer: acknowledged by all in-sync replicas, idempotent where the broker can.

    `on_dead` is called when it can't be used any more: a new one is needed.
    """
    make = partial(
        AIOKafkaProducer,
        **client_options(settings),
        acks="all",
        enable_idempotence=settings.kafka_idempotence,
        max_request_size=MESSAGE_BYTES,
        max_batch_size=256 * 1024,
        linger_ms=2,
        request_timeout_ms=int(settings.kafka_send_seconds * 1000),
    )
    publisher = Publisher(make, on_dead, settings.kafka_send_seconds)
    await publisher.start()
    watch_budget("publish_bytes", PENDING_BYTES, lambda: publisher.pending)
    try:
        yield publisher
    finally:
        await publisher.stop()
