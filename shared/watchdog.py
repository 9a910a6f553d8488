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
from shared.lag import Lag
from shared.offsets import BrokerOffsets, Note
from shared.topics import Topic, family, template

log = structlog.get_logger()
EVERY_SECONDS: Final = 5.0
SAID_SECONDS: Final = 20.0  # then /healthz says so
STUCK_SECONDS: Final = 45.0  # with the looks before and after it: gone within 60 s
LATE_SECONDS: Final = 25.0  # between two looks: this process was stopped, and nothing could move meanwhile
HUNG_SECONDS: Final = 300.0  # with something in hand: longer than anything that ends by itself


class Watched(Protocol):
    """A consumer."""

    assigned: set[TopicPartition]

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand, nor held back."""
        ...


class Watchdog:
    """Stuck: our partitions have lag, nothing is in hand here, and nothing of them was committed for 45 s.

    With something in hand: nothing for five minutes, though none of our servers is `lost`. Who has no partition
    watches all of them: a group may have lost its members without anybody's notice. While a server is lost it does not:
    whoever has the partitions may well wait with something in hand.
    """

    def __init__(
        self,
        offsets: BrokerOffsets,
        topic: Topic,
        watched: Watched,
        on_stuck: Callable[[], None],
        lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._offsets, self._topic, self._watched, self._on_stuck = offsets, topic, watched, on_stuck
        self._lost = lost
        self._lag = Lag(family(topic))
        self._seen: Note = {}
        self._ends: Note = {}  # when something moved for the last time
        self._behind = ""
        self._now = self._idle_since = self._unmoved_since = time.monotonic()

    def reason(self) -> str:
        """Why it seems stuck, for /healthz, which asks for no key and so names no tenant; empty as a rule."""
        still, idle = self._now - self._unmoved_since, self._now - self._idle_since
        if idle < SAID_SECONDS and still < HUNG_SECONDS / 2:
            return ""
        return f"{self._behind}: nothing of it was committed for {max(still, idle):.0f} s"

    async def run(self) -> None:
        """Look every few seconds, for ever."""
        try:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                await self.look(time.monotonic())
        finally:
            self._lag.unknown()

    async def look(self, now: float) -> None:
        """Look once, and let the consumer leave when it is stuck."""
        if now - self._now > LATE_SECONDS:
            self._idle_since = self._unmoved_since = now
        if await self.stuck(now):
            log.critical("consumer.stuck", behind=self._behind, in_hand=not self._watched.idle)
            self._on_stuck()

    async def stuck(self, now: float) -> bool:
        """Look once; an absent broker is no reason to leave."""
        self._now = now
        try:
            every = await self._offsets.ends(self._topic)
            ends = {each: end for each, end in every.items() if each in self._watched.assigned} or every
            reached = await self._offsets.reached(self._topic, ends) if ends else {}
        except DependencyUnavailable:
            self._lag.unknown()
            self._idle_since = self._unmoved_since = now
            return False
        self._lag.saw(now, {each: end for each, end in ends.items() if each in self._watched.assigned}, reached)
        behind = {each: end for each, end in ends.items() if self._waits(each, reached[each], end)}
        told = (f"{template(p.topic)}-{p.partition} at {reached[p]} of {end}" for p, end in behind.items())
        self._behind = ", ".join(told)
        if moved := not behind or reached != self._seen:
            self._seen, self._ends = reached, ends
        lost = self._lost()
        if moved or not self._watched.idle or (lost and not self._watched.assigned):
            self._idle_since = now
        if moved or lost:
            self._unmoved_since = now
        return now - self._idle_since > STUCK_SECONDS or now - self._unmoved_since > HUNG_SECONDS

    def _waits(self, partition: TopicPartition, reached: int, end: int) -> bool:
        """Whether it holds something. Committed beyond its end is of a log that is gone: what has come since waits.

        Or it was committed between our two questions: then the next look finds it at its end, where nothing waits.
        """
        return end > reached or (0 < end < reached and end != self._ends.get(partition, end))
