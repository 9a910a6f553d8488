"""A consumer that is alive and consumes nothing helps nobody: it leaves, and the supervisor starts a new one.

Lag is counted from committed offsets: after a broker has begun again, a consumer's own position may see no lag.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog
from aiokafka import TopicPartition

from shared.errors import DependencyUnavailable
from shared.offsets import BrokerOffsets, Note
from shared.topics import Topic

log = structlog.get_logger()
EVERY_SECONDS: Final = 5.0
STUCK_SECONDS: Final = 60.0


class Watched(Protocol):
    """A consumer."""

    assigned: set[TopicPartition]

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand, nor held back."""
        ...


class Watchdog:
    """Stuck: our partitions have lag, nothing is in hand here, and nothing of them was committed for 60 s.

    Who has no partition watches all of them: a group may have lost its members without anybody's notice.
    """

    def __init__(self, offsets: BrokerOffsets, topic: Topic, watched: Watched, on_stuck: Callable[[], None]) -> None:
        self._offsets, self._topic, self._watched, self._on_stuck = offsets, topic, watched, on_stuck
        self._seen: Note = {}
        self._since = time.monotonic()

    async def run(self) -> None:
        """Look every few seconds, for ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            if await self.stuck(time.monotonic()):
                log.critical("consumer.stuck", topic=str(self._topic))
                self._on_stuck()

    async def stuck(self, now: float) -> bool:
        """Look once; an absent broker is no reason to leave."""
        try:
            every = await self._offsets.ends(self._topic)
            ends = {each: end for each, end in every.items() if each in self._watched.assigned} or every
            reached = await self._offsets.reached(self._topic, ends) if ends else {}
        except DependencyUnavailable:
            self._since = now
            return False
        lag = any(ends[partition] != reached[partition] for partition in ends)  # beyond the end: of a log that is gone
        if not lag or reached != self._seen or not self._watched.idle:
            self._seen, self._since = reached, now
        return now - self._since > STUCK_SECONDS
