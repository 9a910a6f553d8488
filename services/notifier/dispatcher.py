"""Room for attempts, shared so that one dead receiver slows no other: limits of several kinds, and fair turns."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from services.notifier.dispatch import Lane, PendingDispatch
from services.notifier.schedule import FAILING_FROM

log = structlog.get_logger()

PROBES: Final = 2  # what a lane that answers nothing may have in memory
LANES_REMEMBERED: Final = 10_000

# Attempts one dispatch and hands its result on; True: the receiver answered; None: that can't be told.
Attempt = Callable[[PendingDispatch], Awaitable[bool | None]]


@dataclass(frozen=True, slots=True)
class Room:
    """How much may be under way: attempts, and dispatches in memory (waiting included). Seconds for the wait."""

    in_flight: int = 256
    per_tenant: int = 128
    per_lane: int = 8
    in_memory: int = 2048
    in_memory_per_lane: int = 256
    longest_wait: float = 37.0

    @property
    def in_memory_per_tenant(self) -> int:
        """A quarter of all, but at least what one lane may have: many host names must not take everybody's room."""
        return max(self.in_memory // 4, self.in_memory_per_lane)


@dataclass(slots=True)
class _Queue:
    """One lane: dispatches waiting, with the latest time they may start; `taken` counts all in memory or reserved."""

    waiting: deque[tuple[float, PendingDispatch]] = field(default_factory=deque)
    active: int = 0
    taken: int = 0


class FairDispatcher:
    """Starts attempts in fair turns among lanes. A kill loses nothing: every dispatch is under a lease."""

    def __init__(self, attempt: Attempt, room: Room, clock: Callable[[], float]) -> None:
        self._attempt, self._room, self._clock = attempt, room, clock
        self._queues: dict[Lane, _Queue] = {}
        self._turns: OrderedDict[Lane, None] = OrderedDict()  # lanes that have something waiting and a free place
        self._failures: OrderedDict[Lane, int] = OrderedDict()
        self._active_of: Counter[str] = Counter()
        self._running: dict[asyncio.Task[None], PendingDispatch] = {}
        self._taken_of: Counter[str] = Counter()
        self._taken = 0
        self._stopping = False
        self.has_room = asyncio.Event()  # set when a lane that was full is half empty

    @property
    def active(self) -> int:
        """Attempts under way."""
        return len(self._running)

    @property
    def taken(self) -> int:
        """Dispatches in memory, reserved ones included."""
        return self._taken

    @property
    def free(self) -> int:
        """How many more dispatches fit into memory."""
        return 0 if self._stopping else self._room.in_memory - self._taken

    def failures(self, lane: Lane) -> int:
        """How many attempts in a row got no answer."""
        return self._failures.get(lane, 0)

    def reserve(self, lane: Lane) -> bool:
        """Take room for one dispatch, if there is any."""
        queue = self._queues.setdefault(lane, _Queue())
        of_tenant = self._taken_of[lane.tenant]
        if self.free <= 0 or of_tenant >= self._room.in_memory_per_tenant or queue.taken >= self._limit(lane):
            self._forget_idle(lane, queue)
            return False
        queue.taken += 1
        self._taken_of[lane.tenant] += 1
        self._taken += 1
        return True

    def cancel(self, lane: Lane) -> None:
        """Give reserved room back."""
        queue = self._queues[lane]
        queue.taken -= 1
        self._taken_of[lane.tenant] -= 1
        self._taken -= 1
        of_tenant = self._taken_of[lane.tenant]
        if queue.taken == self._limit(lane) // 2 or of_tenant == self._room.in_memory_per_tenant // 2:
            self.has_room.set()
        if not of_tenant:
            del self._taken_of[lane.tenant]
        self._forget_idle(lane, queue)

    def submit(self, pending: PendingDispatch) -> None:
        """Attempt it in the reserved room, as soon as it is this lane's turn."""
        queue = self._queues[pending.lane]
        queue.waiting.append((self._clock() + self._room.longest_wait, pending))
        self._line_up(pending.lane, queue)
        self._start_what_may()

    async def drain(self, seconds: float) -> list[PendingDispatch]:
        """Start nothing more and wait for what runs; returns what was not attempted or was cut off."""
        self._stopping = True
        left = [pending for queue in self._queues.values() for _, pending in queue.waiting]
        self._turns.clear()
        if self._running:
            await asyncio.wait(list(self._running), timeout=seconds)
        cut = dict(self._running)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
        return left + list(cut.values())

    def _limit(self, lane: Lane) -> int:
        return PROBES if self.failures(lane) >= FAILING_FROM else self._room.in_memory_per_lane

    def _forget_idle(self, lane: Lane, queue: _Queue) -> None:
        if queue.taken == 0:
            self._queues.pop(lane, None)

    def _line_up(self, lane: Lane, queue: _Queue) -> None:
        if queue.waiting and queue.active < self._room.per_lane:
            self._turns.setdefault(lane)

    def _start_what_may(self) -> None:
        """Give each lane in line one start a turn; a lane whose tenant is at its limit is passed over."""
        passed_over = 0
        while not self._stopping and passed_over < len(self._turns) and len(self._running) < self._room.in_flight:
            lane, _ = self._turns.popitem(last=False)
            if self._active_of[lane.tenant] >= self._room.per_tenant:
                self._turns[lane] = None
                passed_over += 1
                continue
            passed_over = 0
            queue = self._queues[lane]
            self._start(lane, queue)
            self._line_up(lane, queue)

    def _start(self, lane: Lane, queue: _Queue) -> None:
        latest, pending = queue.waiting.popleft()
        if latest < self._clock():
            # It waited too long for its lease: left alone, it comes due again when the lease runs out.
            self.cancel(lane)
            return
        queue.active += 1
        self._active_of[lane.tenant] += 1
        task = asyncio.ensure_future(self._run(pending))
        self._running[task] = pending
        task.add_done_callback(self._ended)

    async def _run(self, pending: PendingDispatch) -> None:
        try:
            answered = await self._attempt(pending)
        except Exception:
            # Nothing is recorded: the lease runs out and it is attempted again, here or elsewhere.
            log.exception("dispatch.failed", mutation=pending.delivery)
            return
        if answered is None:
            return
        if answered:
            self._failures.pop(pending.lane, None)
            return
        self._failures[pending.lane] = self._failures.pop(pending.lane, 0) + 1
        if len(self._failures) > LANES_REMEMBERED:
            self._failures.popitem(last=False)

    def _ended(self, task: asyncio.Task[None]) -> None:
        pending = self._running.pop(task)
        lane = pending.lane
        queue = self._queues[lane]
        queue.active -= 1
        self._active_of[lane.tenant] -= 1
        if not self._active_of[lane.tenant]:
            del self._active_of[lane.tenant]
        self.cancel(lane)
        self._line_up(lane, queue)
        self._start_what_may()
