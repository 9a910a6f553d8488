"""Takes batches of accepted events into the window, works on all at once, commits what is passed on without a gap."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from services.fetcher.handler import FetchHandler, SourceBusy, until_available
from services.fetcher.window import Slot, Window
from shared.broker import Record
from shared.commits import commit, go_back
from shared.consume import BUGS_IN_A_ROW, Delivery, decode, written_at
from shared.crash_points import crash_point
from shared.dead_letters import DeadLetters
from shared.errors import Undecodable
from shared.events import MutationAccepted
from shared.limits import UNREADABLE_TRIES
from shared.observability import EVENTS_HANDLED
from shared.process import Lifecycle, closed
from shared.tracing import Span, about, processing

log = structlog.get_logger()
Taken = tuple[Slot, Record]


class FetchConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands batches to tasks and returns; while the window has no room, partitions are paused, not blocked."""

    def __init__(
        self,
        handler: FetchHandler,
        letters: DeadLetters,
        window: Window[TopicPartition],
        lifecycle: Lifecycle,
        batch_records: int,
        drain_seconds: float = 6.0,
    ) -> None:
        self._handler, self._letters, self._window, self._lifecycle = handler, letters, window, lifecycle
        self._batch_records, self._drain_seconds = batch_records, drain_seconds
        self._consumer: AIOKafkaConsumer | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._committing = asyncio.Lock()
        self._leaving = self._stopped = False
        self._bugs = 0
        self.assigned: set[TopicPartition] = set()

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand."""
        return not self._tasks

    async def on_poll(self, positions: dict[TopicPartition, int], consumer: AIOKafkaConsumer) -> None:
        """Let the window pass by offsets that hold no record. While partitions are given away, records are dropped."""
        if self._leaving:
            return
        self._consumer = consumer
        for partition, position in positions.items():
            self._window.skip(partition, position)

    async def on_batch(self, records: Sequence[Record], consumer: AIOKafkaConsumer) -> None:
        """Start a batch. Nothing is taken in while partitions are given away: it comes again, to us or another."""
        if self._stopped:
            return
        if self._leaving:
            go_back(records, consumer)
            return
        self._consumer = consumer
        taken = [(self._window.start(TopicPartition(r.topic, r.partition), r.offset), r) for r in records]
        self._spawn(self._work_off(taken))
        self._pace()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Wait a little for what is in flight, commit, drop the rest: it is uncommitted and comes again."""
        self._leaving, self.assigned = True, set()
        await self._drain(self._drain_seconds)
        await self.commit()
        self._drop()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start with an empty window; nothing of an older assignment is committed any more."""
        self._drop()
        self._leaving, self.assigned = self._stopped, set(assigned)

    async def commit_every(self, seconds: float) -> None:
        """Commit the contiguous prefixes for ever."""
        while True:
            await asyncio.sleep(seconds)
            await self.commit()

    async def commit(self) -> None:
        """Commit what has grown; what the broker refuses comes again and is void then."""
        async with self._committing:
            offsets = self._window.committable()
            if not offsets or not self._consumer:
                return
            crash_point("fetcher.committing")
            if await commit(self._consumer, offsets):
                self._window.committed(offsets)

    async def stop(self, seconds: float) -> None:
        """Take nothing in, wait so long for what is in flight, commit, drop the rest."""
        self._leaving = self._stopped = True
        await self._drain(seconds)
        await closed(self.commit(), "commit")
        self._drop()

    async def _work_off(self, taken: Sequence[Taken]) -> None:
        deliveries = [(slot, found) for slot, record in taken if (found := self._decoded(slot, record))]
        ended = await self._handler.ended([delivery.event for _, delivery in deliveries])
        for slot, delivery in deliveries:
            self._spawn(self._pass_on(slot, delivery, delivery.event.mutation_id in ended))

    def _decoded(self, slot: Slot, record: Record) -> Delivery[MutationAccepted] | None:
        try:
            return decode(MutationAccepted, record)
        except Undecodable as error:
            self._spawn(self._bury(slot, record, str(error)))  # nobody waits for it
            return None

    async def _pass_on(self, slot: Slot, delivery: Delivery[MutationAccepted], ended: bool) -> None:
        try:
            published = written_at(delivery.record)
            with _step(delivery) as step:
                traceparent = step.traceparent or delivery.traceparent
                worked = await self._handler.handle(delivery.event, traceparent, ended, published)
        except SourceBusy:
            # Its place in the window goes to others: the relay finds it standing still and publishes it again.
            log.info("mutation.put_off", mutation=delivery.event.mutation_id)
            self._complete(slot, delivery.record.topic, "put_off")
            return
        except Exception:
            log.exception("event.failed", mutation=delivery.event.mutation_id)
            await self._bury(slot, delivery.record, "internal_error")
            worked = False
        else:
            self._complete(slot, delivery.record.topic, "handled")
        self._bugs = 0 if worked else self._bugs + 1
        if self._bugs >= BUGS_IN_A_ROW:
            self._lifecycle.fail()

    async def _bury(self, slot: Slot, record: Record, reason: str) -> None:
        await until_available(lambda: self._letters.send(record, reason, UNREADABLE_TRIES))
        self._complete(slot, record.topic, "dead_lettered")

    def _complete(self, slot: Slot, topic: str, fate: str) -> None:
        self._window.complete(slot)
        EVENTS_HANDLED.labels(topic, fate).inc()
        self._pace()

    def _pace(self) -> None:
        if self._consumer is None or self._leaving:
            return
        assigned, paused = self._consumer.assignment(), self._consumer.paused()
        full = self._window.room < self._batch_records
        wanted = assigned if full else self._window.overdrawn & assigned
        if wanted - paused:
            self._consumer.pause(*(wanted - paused))
        if paused - wanted:
            self._consumer.resume(*(paused - wanted))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("batch.failed", exc_info=task.exception())
            self._lifecycle.fail()  # its records stay uncommitted; a restart takes them up again

    async def _drain(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    def _drop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._window.clear()


def _step(delivery: Delivery[MutationAccepted]) -> Span:
    event = delivery.event
    what = about(event.mutation_id, event.tenant, event.environment, event.kind)
    return processing(delivery.record.topic, delivery.traceparent, what)
