"""An event loop whose time jumps to the next timer: hours pass in milliseconds, and a seed gives one order."""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from itertools import count
from typing import Any, Final, Protocol


class Owner(Protocol):
    """Who runs what is called in its context; stopped at times, and dead for ever in the end."""

    halted: bool
    alive: bool
    until: float  # when it runs again


OWNER: Final[ContextVar[Owner | None]] = ContextVar("owner", default=None)


class Stuck(Exception):
    """Nothing is ready and no timer is set: what is waited for can't happen any more."""


class CountedTask(asyncio.Task[Any]):
    """Tasks in sets are ordered by their number, not by their address, which differs from run to run."""

    numbers = count()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._number = next(self.numbers)
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.AbstractEventLoop):
    """What is ready runs in the order in which it became so, as asyncio promises; the ports' delays are the seed's."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.Handle]] = []
        self._counter = count()
        self.steps = 0
        CountedTask.numbers = count()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of the work; raises Stuck."""
        events._set_running_loop(self)
        try:
            main = self.create_task(work)
            while not main.done():
                self._step()
            return main.result()
        finally:
            events._set_running_loop(None)

    def _step(self) -> None:
        if not self._ready:
            while self._timers and self._timers[0][2].cancelled():
                heapq.heappop(self._timers)
            if not self._timers:
                raise Stuck
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            self._run(timer)
        for _ in range(len(self._ready)):
            self._run(self._ready.popleft())

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        owner = handle._context.get(OWNER)  # type: ignore[attr-defined]
        if owner is None or not owner.halted:
            self.steps += 1
            handle._run()
        elif owner.alive:  # stopped: its time stands still; what is dead is dropped
            heapq.heappush(self._timers, (owner.until, next(self._counter), handle))

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._counter), timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(delay, 0.0), callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        return CountedTask(coro, loop=self, name=name, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """At once: what runs in threads here is computing alone."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def pause(self, seconds: float) -> None:
        """asyncio.sleep for less work."""
        future = self.create_future()
        self.call_at(self._now + seconds, future.set_result, None)
        await future

    def outside(self, delay: float, callback: Any, *args: Any) -> None:
        """Call it later, whatever becomes of who asks for it."""
        self.call_later(delay, callback, *args, context=Context())

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is dropped when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tasks of dead processes are abandoned on purpose; what fails in living ones, the processes tell."""

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False
