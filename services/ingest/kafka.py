"""Kafka for ingest: connects when it can and goes on trying, because the gateway accepts while Kafka is away."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from shared import events, topics
from shared.errors import DependencyUnavailable
from shared.offsets import BrokerOffsets, open_offsets
from shared.publisher import Outgoing, Publisher, open_publisher
from shared.settings import EngineSettings

log = structlog.get_logger()
RETRY_SECONDS: Final = 1.0


class PatientKafka:
    """A publisher and a reader of offsets that may not be there yet; `connect` is an endless job."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._publisher: Publisher | None = None
        self._offsets: BrokerOffsets | None = None

    async def connect(self) -> None:
        """Connect as soon as a broker answers; stay connected until cancelled."""
        while True:
            try:
                dead = asyncio.Event()
                publishing = open_publisher(self._settings, dead.set)
                async with publishing as publisher, open_offsets(self._settings) as offsets:
                    self._publisher, self._offsets = publisher, offsets
                    try:
                        await dead.wait()
                    finally:  # what is closed from here on is asked no more
                        self._publisher = self._offsets = None
                    log.error("producer.dead")
            except DependencyUnavailable as error:
                log.warning("kafka.not_there_yet", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]:
        """See shared.publisher.Publisher; before the first connect nothing is published."""
        if self._publisher is None:
            return [DependencyUnavailable("kafka", "not connected yet") for _ in outgoing]
        return await self._publisher.publish_many(outgoing)

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[events.Header]) -> None:
        """See shared.publisher.Publisher. Raises DependencyUnavailable."""
        if self._publisher is None:
            raise DependencyUnavailable("kafka", "not connected yet")
        await self._publisher.send(topic, key, value, headers)

    @property
    def offsets(self) -> BrokerOffsets:
        """Where topics end and groups stand. Raises DependencyUnavailable."""
        if self._offsets is None:
            raise DependencyUnavailable("kafka", "not connected yet")
        return self._offsets

    async def pipeline_passed(self, still_wanted: Callable[[], Awaitable[bool]]) -> bool:
        """Whether the fetcher, then storage, have passed all that was published when this was asked."""
        if self._offsets is None:
            return False
        return await self._offsets.passed(topics.ACCEPTED, still_wanted) and await self._offsets.passed(
            topics.FETCHED, still_wanted
        )
