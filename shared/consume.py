"""Consuming in batches: one table decides every record's fate, offsets are committed by hand, after the work.

A crash before the commit leaves the batch uncommitted: it comes again, and every effect behind it is void then.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final, Generic, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from shared import events
from shared.broker import Record
from shared.commits import commit, go_back, next_offsets
from shared.dead_letters import DeadLetters
from shared.errors import DependencyUnavailable, Undecodable
from shared.limits import UNREADABLE_TRIES
from shared.observability import EVENTS_HANDLED, new_traceparent
from shared.topics import family
from shared.tracing import batch

log = structlog.get_logger()


class Fate(Enum):
    """What becomes of a record."""

    DEAD_LETTER = "the raw record goes to the dead-letter topic, with the reason; then commit"
    HOLD = "back off in place with jitter, then hold the partition; nothing lost, never dead-lettered"
    ISOLATE = "work off in ever smaller parts; the one that fails alone is a bug and handed to `on_bug`; then commit"


FATES: Final[dict[type[Exception], Fate]] = {
    Undecodable: Fate.DEAD_LETTER,
    DependencyUnavailable: Fate.HOLD,
    Exception: Fate.ISOLATE,
}
BACKOFF_SECONDS: Final = (0.1, 0.3, 1.0, 2.0, 5.0)
BUGS_IN_A_ROW: Final = 50
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery(Generic[T]):
    """What a record held, an event as a rule, with its trace and the raw record itself."""

    event: T
    traceparent: str
    record: Record


def fate_of(error: Exception) -> Fate:
    """The fate that the table gives to a record whose handling raised this error."""
    return next(fate for kind, fate in FATES.items() if isinstance(error, kind))


class BackOff:
    """Pauses that grow with every failure in a row, with jitter."""

    def __init__(self) -> None:
        self.failures = 0

    async def pause(self) -> None:
        """Sleep for the next pause."""
        pause = BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS) - 1)]
        self.failures += 1
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311


def decode(kind: type[events.E], record: Record) -> Delivery[events.E]:
    """The event of a raw record; an odd header costs the trace, not the record. Raises Undecodable."""
    event = events.decode(kind, record.value)
    return Delivery(event, header(record, "traceparent") or new_traceparent(), record)


def header(record: Record, name: str) -> str:
    """The first header of this name; empty when there is none."""
    found = next((value for known, value in record.headers if known == name), None)
    return (found or b"").decode("ascii", "replace")


def written_at(record: Record) -> datetime | None:
    """When producer or broker say that a record was written; None where they say nothing, or nothing that is a time."""
    milliseconds: int | None = record.timestamp  # of a log in an old format it is None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds and milliseconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


class BatchConsumer(ConsumerRebalanceListener, Generic[T]):  # type: ignore[misc]
    """Works batches off one after another; partitions are given away only when nothing is in hand."""

    def __init__(
        self,
        read: Callable[[Record], Delivery[T]],  # raises Undecodable
        handle: Callable[[Sequence[Delivery[T]]], Awaitable[None]],
        letters: DeadLetters,
        on_bug: Callable[[Delivery[T], Exception], Awaitable[None]],
        on_fatal: Callable[[], None],
        drain_seconds: float = 6.0,
    ) -> None:
        self._read, self._handle, self._letters = read, handle, letters
        self._on_bug, self._on_fatal, self._drain_seconds = on_bug, on_fatal, drain_seconds
        self._in_hand = asyncio.Lock()
        self._leaving = False
        self._assignment = 0
        self._committed: dict[TopicPartition, int] = {}  # in this assignment
        self.assigned: set[TopicPartition] = set()
        self._bugs = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand, nor held back."""
        return not self._in_hand.locked()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Wait for the batch in hand; what isn't done by then is dropped, uncommitted, and comes again."""
        self._leaving, self.assigned = True, set()
        try:
            async with asyncio.timeout(self._drain_seconds), self._in_hand:
                pass
        except TimeoutError:
            log.warning("rebalance.batch_still_in_hand")
        self._assignment += 1

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start anew; nothing of an older assignment is committed any more."""
        self._assignment += 1
        self._leaving, self.assigned, self._committed = False, set(assigned), {}

    async def on_poll(self, positions: dict[TopicPartition, int], consumer: AIOKafkaConsumer) -> None:
        """Commit how far all is worked off, also where offsets hold no record, or where a commit was refused.

        While partitions are given away nobody knows that: what is not done by then is dropped.
        """
        if not self._leaving:
            await self._commit(
                {each: at for each, at in positions.items() if at != self._committed.get(each)}, consumer
            )

    async def on_batch(self, records: tuple[Record, ...], consumer: AIOKafkaConsumer) -> None:
        """Decode, handle, commit. Without a commit the position goes back, so that nothing is passed over."""
        assignment = self._assignment
        async with self._in_hand:
            try:
                done = await self._work_off(records)
            except Exception:
                # What raises here is a bug in deciding about a bug. FastStream would drop it, and the next commit
                # would pass the records by.
                log.exception("batch.undecided", size=len(records))
                self._count_bug()
                await asyncio.sleep(BACKOFF_SECONDS[-1])
                done = False
            if assignment != self._assignment:
                return
            if done:
                await self._commit(next_offsets(records), consumer)
            else:
                go_back(records, consumer)

    async def _commit(self, offsets: dict[TopicPartition, int], consumer: AIOKafkaConsumer) -> None:
        if offsets and await commit(consumer, offsets):
            self._committed |= offsets

    async def _work_off(self, records: tuple[Record, ...]) -> bool:
        back_off = BackOff()
        unreadable: list[tuple[Record, str]] = []
        deliveries = [found for record in records if (found := self._decoded(record, unreadable))]
        while True:
            try:
                await self._attempt(deliveries)
                deliveries = []  # nobody waits for the burial of what can't be read
                while unreadable:
                    await self._letters.send(*unreadable[0], UNREADABLE_TRIES)
                    EVENTS_HANDLED.labels(family(unreadable.pop(0)[0].topic), "dead_lettered").inc()
            except DependencyUnavailable as error:
                if self._leaving or back_off.failures > len(BACKOFF_SECONDS):
                    return False
                log.warning("batch.held", dependency=error.dependency, error=str(error))
                await back_off.pause()
            else:
                return True

    def _decoded(self, record: Record, unreadable: list[tuple[Record, str]]) -> Delivery[T] | None:
        try:
            return self._read(record)
        except Undecodable as error:
            unreadable.append((record, str(error)))
            return None

    async def _attempt(self, deliveries: list[Delivery[T]]) -> None:
        """Handle what is left of a batch; a bug is left no more once its fate is decided, or a hold would repeat it."""
        if not deliveries:
            return
        topic = deliveries[0].record.topic
        try:
            with batch(topic, (each.traceparent for each in deliveries)):
                await self._handle(deliveries)
            self._bugs = 0
        except Exception as error:
            if fate_of(error) is not Fate.ISOLATE:
                raise
            log.exception("batch.failed", size=len(deliveries))
            await self._isolate(deliveries, deliveries)
        EVENTS_HANDLED.labels(family(topic), "handled").inc(len(deliveries))

    async def _isolate(self, deliveries: Sequence[Delivery[T]], left: list[Delivery[T]]) -> None:
        """In halves of halves: one bad record costs its neighbours a few batches, not one each."""
        half = len(deliveries) // 2
        for part in (deliveries[:half], deliveries[half:]) if half else (deliveries,):
            try:
                await self._handle(part)
                self._bugs = 0
            except Exception as error:
                if fate_of(error) is not Fate.ISOLATE:
                    raise
                if len(part) > 1:
                    await self._isolate(part, left)
                    continue
                record = part[0].record
                log.exception("event.failed", topic=record.topic, partition=record.partition, offset=record.offset)
                await self._on_bug(part[0], error)
                self._count_bug()
                EVENTS_HANDLED.labels(family(record.topic), "handled").inc()
                left.remove(part[0])

    def _count_bug(self) -> None:
        self._bugs += 1
        if self._bugs >= BUGS_IN_A_ROW:
            self._on_fatal()
