"""Kafka's side of the command topics: one subscription by pattern, so that a new tenant's topic needs no restart."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from services.ingest.command_handler import CommandHandler, Received
from shared import limits, topics
from shared.broker import ConsumingBroker, Record, attach, consuming_broker
from shared.consume import BatchConsumer, Delivery, header, written_at
from shared.crash_points import crash_point
from shared.dead_letters import DeadLetters
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.offsets import open_offsets
from shared.process import background
from shared.settings import EngineSettings
from shared.watchdog import Watchdog

log = structlog.get_logger()
BATCH_RECORDS: Final = 64
# Little of a partition at a time: the partitions take turns, so one tenant's flood does not delay another's command.
FETCH_BYTES: Final = 256 * limits.KIB
METADATA_SECONDS: Final = 3.0
RETRY_SECONDS: Final = 1.0


class CommandConsumer:
    """Consumes whenever there is a broker: the gateway goes on without."""

    def __init__(
        self,
        settings: EngineSettings,
        handler: CommandHandler,
        letters: DeadLetters,
        draining_seconds: Callable[[], float],
    ) -> None:
        self._settings, self._handler, self._letters = settings, handler, letters
        self._draining_seconds = draining_seconds
        self._watchdog: Watchdog | None = None
        self._broker: ConsumingBroker | None = None

    def stuck(self) -> str:
        """Why it seems stuck; empty as a rule."""
        return self._watchdog.reason() if self._watchdog else ""

    @asynccontextmanager
    async def consuming(self, on_failure: Callable[[], None]) -> AsyncIterator[None]:
        """Consume while the block runs; then the batch in hand has its time to end, and the group is left.

        That is not for the job to do: it is cancelled again and again until it has ended, and can't wait for anything.
        """
        try:
            async with background(self._consume, on_failure=on_failure):
                yield
        finally:
            await self._hand_back()

    async def _consume(self) -> None:
        """Connect as soon as a broker answers, and anew when the consumer stands still, until cancelled."""
        while True:
            again = asyncio.Event()
            try:
                async with self._connected(again.set):
                    await again.wait()
                log.error("commands.consumer_restarts")
            except (DependencyUnavailable, KafkaError) as error:
                log.warning("commands.not_there_yet", error=str(error) or type(error).__name__)
            await self._hand_back()
            await asyncio.sleep(RETRY_SECONDS)

    @asynccontextmanager
    async def _connected(self, restart: Callable[[], None]) -> AsyncIterator[None]:
        # Whatever goes wrong here, also fifty bugs in a row, restarts the consumer and never the gateway.
        drain = self._settings.kafka_drain_seconds
        batches = BatchConsumer(self._received, self._handle, self._letters, self._on_bug, restart, drain)
        broker = self._broker = consuming_broker(self._settings, METADATA_SECONDS)
        pattern, group = topics.COMMANDS_PATTERN, topics.INGEST_GROUP
        attach(broker, self._settings, pattern, group, batches, BATCH_RECORDS, FETCH_BYTES)
        async with open_offsets(self._settings) as offsets:
            try:
                await broker.start()
                self._watchdog = Watchdog(offsets, pattern, batches, restart, DEPENDENCIES.any_lost)
                async with background(self._watchdog.run, on_failure=restart):
                    yield
            finally:
                self._watchdog = None

    async def _hand_back(self) -> None:
        if self._broker:
            await self._broker.hand_back(self._draining_seconds())
            self._broker = None

    def _received(self, record: Record) -> Delivery[Received]:
        trace, kind = header(record, "traceparent"), header(record, "ce_type")
        # A bug of ours that ends a command is logged where it is met.
        dead_letter = partial(self._letters.send, record, attempts=limits.UNREADABLE_TRIES, senders_fault=True)
        tenant = topics.tenant_of(record.topic)
        received = Received(tenant, record.value or b"", kind, trace, dead_letter, written_at(record))
        return Delivery(received, trace, record)

    async def _handle(self, deliveries: Sequence[Delivery[Received]]) -> None:
        await self._handler.handle(delivery.event for delivery in deliveries)
        crash_point("ingest.command_committing")

    async def _on_bug(self, delivery: Delivery[Received], error: Exception) -> None:
        await self._handler.give_up(delivery.event)
