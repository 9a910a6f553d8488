"""Good manners towards sources: few connections a host, and none before the time a host has asked for."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

MAX_PAUSE_SECONDS: Final = 60.0
DEFAULT_PAUSE_SECONDS: Final = 2.0  # for a 429 that names no time
HOSTS_KEPT: Final = 2000  # more than can be visited at once


@dataclass(slots=True)
class _Host:
    turn: asyncio.Semaphore
    users: int = 0
    not_before: float = 0.0


class HostGate:
    """At most so many visits a host at once; a host that asked for a pause gets it. Idle hosts are forgotten."""

    def __init__(self, per_host: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_host = per_host
        self._clock = clock
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def visit(self, host: str) -> AsyncIterator[None]:
        """Wait for a free place at this host, and for the end of its pause."""
        state = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._per_host)))
        state.users += 1
        try:
            async with state.turn:
                await asyncio.sleep(self.rest(host))
                yield
        finally:
            state.users -= 1
            self._forget()

    def rest(self, host: str) -> float:
        """Seconds until the end of a host's pause."""
        state = self._hosts.get(host)
        return max(0.0, state.not_before - self._clock()) if state else 0.0

    def pause(self, host: str, seconds: float) -> None:
        """Begin no new visit to this host for so long."""
        if state := self._hosts.get(host):
            state.not_before = max(state.not_before, self._clock() + min(seconds, MAX_PAUSE_SECONDS))

    def _forget(self) -> None:
        if len(self._hosts) > HOSTS_KEPT:
            now = self._clock()
            self._hosts = {name: state for name, state in self._hosts.items() if state.users or state.not_before > now}
