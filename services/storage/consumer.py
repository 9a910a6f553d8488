"""Kafka's side of the storage service: batches in, and what becomes of an event that meets a bug."""

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from services.storage.handler import StorageHandler
from services.storage.ports import Ledger
from services.storage.settings import StorageSettings
from shared import topics
from shared.broker import ConsumingBroker, attach
from shared.consume import BatchConsumer, Delivery, decode
from shared.crash_points import crash_point
from shared.dead_letters import DeadLetters
from shared.errors import DependencyUnavailable
from shared.events import MutationFetched
from shared.limits import MAX_TRIES

log = structlog.get_logger()


class FetchedConsumer:
    """Hands batches to the handler. A bug counts a try and commits; the relay brings the mutation back."""

    def __init__(self, handler: StorageHandler, ledger: Ledger, letters: DeadLetters) -> None:
        self._handler, self._ledger, self._letters = handler, ledger, letters

    async def handle(self, deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        """One batch."""
        traces = {delivery.event.mutation_id: delivery.traceparent for delivery in deliveries}
        await self._handler.handle([delivery.event for delivery in deliveries], traces)
        crash_point("storage.committing")

    async def on_bug(self, delivery: Delivery[MutationFetched], error: Exception) -> None:
        """The third time, dead-letter it and end it, if nothing is decided yet; `applying` stays, with this alarm.

        The letter goes before the count that ends: refused by Kafka, or killed in between, the same try comes again.
        """
        event = delivery.event
        tries = await self._ledger.tries(event.environment, event.mutation_id) + 1
        if tries == MAX_TRIES:
            await self._letters.send(delivery.record, f"{type(error).__name__} in storage", tries)
        await self._ledger.raise_tries(event.environment, event.mutation_id, tries)
        log.error("mutation.failed_try", mutation=event.mutation_id, tries=tries, error=type(error).__name__)
        if tries >= MAX_TRIES:
            await self._end(event)

    async def _end(self, event: MutationFetched) -> None:
        try:
            await self._handler.end(event.environment, [event.mutation_id], "internal_error")
        except DependencyUnavailable:
            raise
        except Exception:
            # What can't even be ended must not hold up its partition. The relay brings it back, and so does its
            # deadline, until somebody who reads this has mended it.
            log.exception("mutation.not_ended", mutation=event.mutation_id)


def attach_consumer(
    broker: ConsumingBroker,
    settings: StorageSettings,
    consumer: FetchedConsumer,
    letters: DeadLetters,
    fatal: Callable[[], None],
) -> BatchConsumer[MutationFetched]:
    """Subscribe the service to `mutations.fetched`."""
    read, drain = partial(decode, MutationFetched), settings.kafka_drain_seconds
    batches = BatchConsumer(read, consumer.handle, letters, consumer.on_bug, fatal, drain)
    attach(broker, settings, topics.FETCHED, topics.STORAGE_GROUP, batches, settings.batch_records)
    return batches
