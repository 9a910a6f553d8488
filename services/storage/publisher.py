"""The storage service's side of Kafka: what it publishes."""

from collections.abc import Iterable

from shared import topics
from shared.events import MutationCompleted, MutationFetched
from shared.publisher import Outgoing, Publisher


class KafkaPublisher:
    """Publishes in one go; the first failure is raised when all have been tried."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def fetched(self, again: Iterable[tuple[MutationFetched, str]]) -> None:
        """Bring mutations back behind what waits for us already."""
        await self._publish([(topics.FETCHED, event, trace) for event, trace in again])

    async def completed(self, ended: Iterable[tuple[MutationCompleted, str]]) -> None:
        """Announce outcomes."""
        await self._publish([(topics.COMPLETED, event, trace) for event, trace in ended])

    async def _publish(self, outgoing: list[Outgoing]) -> None:
        failures = [error for error in await self._publisher.publish_many(outgoing) if error is not None]
        if failures:
            raise failures[0]
