"""A thread that ends a process whose event loop stands still, or which does not leave within its grace time.

It counts its own looks, not the time: a process that was stopped for an hour (SIGSTOP, a sleeping laptop) goes on.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

import structlog

log = structlog.get_logger()
EVERY_SECONDS: Final = 1.0
TELLING_SECONDS: Final = 2.0  # who reads our log may be what blocks


class LoopGuard(threading.Thread):
    """Asks the loop every second for a sign of life; too many questions without an answer end the process."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        blocked_seconds: float,
        end: Callable[[int], object] = os._exit,
        every_seconds: float = EVERY_SECONDS,
        telling_seconds: float = TELLING_SECONDS,
        stack_of: Callable[[FrameType | None], list[str]] = traceback.format_stack,
    ) -> None:
        super().__init__(name="loop-guard", daemon=True)
        self._loop, self._end, self._thread = loop, end, threading.get_ident()
        self._every, self._telling, self._stack_of = every_seconds, telling_seconds, stack_of
        self._most = int(blocked_seconds / every_seconds)
        self._unanswered = 0
        self._left: int | None = None

    def leave_within(self, seconds: float) -> None:
        """The process is leaving; it ends then, whatever is still under way."""
        if self._left is None:
            self._left = int(seconds / self._every)

    def run(self) -> None:
        """Look for ever."""
        while True:
            time.sleep(self._every)
            if why := self.look():
                try:
                    self._tell(why)
                finally:
                    self._end(1)
                return

    def look(self) -> str:
        """Look once; why the process must end, and nothing as a rule."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                return "stop.cut"
        if self._unanswered > self._most:
            return "loop.blocked"
        try:
            self._loop.call_soon_threadsafe(self._answer)
            self._unanswered += 1
        except RuntimeError:  # the loop has ended, and the process is about to
            self._unanswered = 0
        return ""

    def _answer(self) -> None:
        self._unanswered = 0

    def _tell(self, why: str) -> None:
        # What blocks may be whoever does not read our log, or a disk, where the stack's source lines are: that must
        # not keep us here.
        telling = threading.Thread(target=self._say, args=(why,), daemon=True)
        telling.start()
        telling.join(self._telling)

    def _say(self, why: str) -> None:
        frame = sys._current_frames().get(self._thread)
        stack = "".join(self._stack_of(frame))
        tasks = [" > ".join(_awaiting(task.get_coro())) for task in asyncio.all_tasks(self._loop)]
        log.critical(why, stack=stack, tasks=tasks)


def _awaiting(awaited: Any) -> Iterator[str]:
    """A task's coroutines, from the outermost to the one that waits."""
    while (name := getattr(awaited, "__qualname__", None)) and hasattr(awaited, "cr_await"):
        yield name
        awaited = awaited.cr_await
