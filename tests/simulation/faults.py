"""What may go wrong, drawn from the seed: each call of a port is a place to die, wait, fail or be in doubt."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from inspect import isawaitable
from typing import Any, Final

from tests.simulation.loop import OWNER, VirtualLoop

# At any call of any port, with their weights.
AT_CALLS: Final = {
    "crash before effect": 3,
    "crash after effect": 5,
    "failure before effect": 6,
    "failure after effect": 6,
    "effect after failure": 4,
    "delay": 8,
    "stall after effect": 3,
}
# Elsewhere: between the writes of a bulk, at the broker, in the weather, at strangers' servers, in our own code.
CRASH_IN_BULK, FAILURE_IN_BULK, PAUSE_IN_BULK = "crash inside bulk", "failure inside bulk", "others inside bulk"
DUPLICATE, REFUSED_COMMIT, REBALANCE = "duplicated event", "refused commit", "rebalance"
GAP = "offset without a record"
REORDERED = "reordered events"  # comes of delays and failures
EMPTIED, KILLED = "broker begins again", "kill at random"
MONGO_AWAY, BLOBS_AWAY, KAFKA_AWAY = "mongo away", "blobs away", "kafka away"
SOURCE_FAILS, SOURCE_BUSY, RECEIVER_FAILS, BUG = "source fails", "source busy", "receiver fails", "bug"
DEADLINE, REPEATED = "deadline passed", "request repeated"
KINDS: Final = (
    *AT_CALLS, CRASH_IN_BULK, FAILURE_IN_BULK, PAUSE_IN_BULK,
    DUPLICATE, GAP, REORDERED, REFUSED_COMMIT, REBALANCE, EMPTIED, KILLED,
    MONGO_AWAY, BLOBS_AWAY, KAFKA_AWAY, SOURCE_FAILS, SOURCE_BUSY, RECEIVER_FAILS, BUG, DEADLINE, REPEATED,
)  # fmt: skip
LATENCY: Final = (0.001, 0.012)
MOST_BLOWS: Final = 8  # so that a seed comes to its end


class Faults:
    """A seed's faults: which kinds it has at all, how often, and which were reached."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.active = True
        self.reached: Counter[str] = Counter()
        # Few kinds a seed, each often, find more than all of them everywhere.
        peaceful = rng.random() < 0.1
        self._kinds = {kind for kind in KINDS if rng.random() < 0.45 and not peaceful}
        self._rate = rng.choice((0.0, 0.01, 0.03, 0.08))
        self._weights = [weight if kind in self._kinds else 0 for kind, weight in AT_CALLS.items()]
        self._names = list(AT_CALLS)
        if not any(self._weights):
            self._rate = 0.0
        self._blows = 0

    def at_call(self) -> str | None:
        """The fault of this call, if it has one."""
        if not self.active or self.rng.random() >= self._rate:
            return None
        [kind] = self.rng.choices(self._names, self._weights)
        return kind if self._allowed(kind) else None

    def strikes(self, kind: str, probability: float) -> bool:
        """Whether this kind happens here, if the seed has it."""
        if not self.active or kind not in self._kinds or self.rng.random() >= probability or not self._allowed(kind):
            return False
        self.reached[kind] += 1
        return True

    def _allowed(self, kind: str) -> bool:
        if not kind.startswith(("crash", "stall", "kill")):
            return True
        self._blows += 1
        return self._blows <= MOST_BLOWS

    def latency(self) -> float:
        """Seconds that a call takes on its way."""
        return self.rng.uniform(*LATENCY)


class Process:
    """One process of a service: once it is killed, nothing of it ever runs again; while it is stalled, nothing does."""

    def __init__(self, loop: VirtualLoop, name: str, on_bug: Callable[[str], None]) -> None:
        self.name, self.loop, self._on_bug = name, loop, on_bug
        self.alive = True
        self.halted = False  # dead or stalled
        self.until = 0.0
        self.on_end: list[Callable[[], None]] = []
        self.on_stall: list[Callable[[float], None]] = []
        self._context = Context()
        self._context.run(OWNER.set, self)

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive:
            self.alive, self.halted = False, True
            for call in self.on_end:
                call()

    def stall(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        if not self.halted:
            self.halted, self.until = True, self.loop.time() + seconds
            self.loop.outside(seconds, self._go_on)
            for call in self.on_stall:
                call(seconds)

    def _go_on(self) -> None:
        self.halted = not self.alive

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        """A task of this process; that it ends with an exception is a finding."""
        task = self.spawn_quietly(work)
        task.add_done_callback(self._ended)
        return task

    def spawn_quietly(self, work: Any) -> asyncio.Task[Any]:
        """The same where a failure is somebody's answer."""
        return self.loop.create_task(work, context=self._context.copy())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and self.alive:
            self._on_bug(f"{self.name}: a job died: {error!r}")
            self.kill()


class Wire:
    """Between a process and an outside system: the one way in which ports are called."""

    def __init__(self, process: Process, faults: Faults, is_away: Callable[[], bool], error: Callable[[], Exception]):
        self.process, self.faults = process, faults
        self._is_away, self._error = is_away, error

    async def call(self, effect: Callable[[], Any]) -> Any:
        """What the outside system answers; its effect happens at one moment, between two travels."""
        faults = self.faults
        fault = faults.at_call()
        pause = self.process.loop.pause
        await pause(faults.rng.uniform(0.5, 25.0) if fault == "delay" else faults.latency())
        if self._is_away():
            raise self._error()
        if fault is not None:
            faults.reached[fault] += 1
            await self._before(fault, effect)
        answer = effect()
        if isawaitable(answer):
            answer = await answer
        if fault is not None:
            await self._after(fault)
        await pause(faults.latency())
        return answer

    async def _before(self, fault: str, effect: Callable[[], Any]) -> None:
        if fault == "crash before effect":
            await self._die()
        if fault == "failure before effect":
            raise self._error()
        if fault == "effect after failure":
            self.process.loop.outside(self.faults.rng.uniform(0.0, 3.0), self._late, effect)
            raise self._error()

    def _late(self, effect: Callable[[], Any]) -> None:
        async def alone() -> None:
            try:
                answer = effect()
                if isawaitable(answer):
                    await answer
            except Exception:  # nobody hears the answer
                return

        self.process.loop.create_task(alone())

    async def _die(self) -> None:
        self.process.kill()
        await self.process.loop.create_future()

    async def _after(self, fault: str) -> None:
        if fault == "crash after effect":
            await self._die()
        if fault == "stall after effect":
            self.process.stall(self.faults.rng.uniform(1.0, 60.0))
        if fault == "failure after effect":
            raise self._error()

    async def between(self) -> None:
        """Between two writes of one bulk: others may come in between, and it may end here."""
        faults = self.faults
        if faults.strikes(PAUSE_IN_BULK, 0.3):
            await asyncio.sleep(faults.rng.uniform(0.0, 0.05))
        if faults.strikes(CRASH_IN_BULK, 0.02):
            await self._die()
        if faults.strikes(FAILURE_IN_BULK, 0.02):
            raise self._error()
