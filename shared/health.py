"""What is wrong with this process, in words: `stuck` where a restart helps, `degraded` where it does not."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from shared.dependencies import DEPENDENCIES, NAMES, Dependencies
from shared.observability import LOOP_LAG

LOST_SECONDS: Final = 5.0  # a shorter absence is a hiccup
LAG_SECONDS: Final = 5.0
LAG_EVERY_SECONDS: Final = 0.5
LAG_SAMPLES: Final = 120


class Health:
    """Asked by `/healthz`. What is stuck says so through a function that returns why, and nothing as a rule."""

    def __init__(self, dependencies: Dependencies = DEPENDENCIES) -> None:
        self._dependencies = dependencies
        self._stuck: list[Callable[[], str]] = []
        self._lags: deque[float] = deque([0.0], maxlen=LAG_SAMPLES)

    def watch(self, stuck: Callable[[], str]) -> None:
        """Ask this, too."""
        self._stuck.append(stuck)

    def report(self) -> tuple[bool, str]:
        """Whether it is alive, and a line for each thing that is wrong, or `ok`."""
        stuck = [f"stuck: {why}" for each in self._stuck if (why := each())]
        lines = stuck + [f"degraded: {what}" for what in self._degraded()]
        return not stuck, "\n".join(lines or ["ok"]) + "\n"

    def _degraded(self) -> list[str]:
        lost = {name: self._dependencies.lost(name) for name in NAMES}
        said = [f"{name} has not answered for {since:.0f} s" for name, since in lost.items() if since >= LOST_SECONDS]
        if (worst := max(self._lags)) >= LAG_SECONDS:
            said.append(f"the event loop was blocked for {worst:.0f} s within the last minute")
        return said

    async def watch_loop_lag(self) -> None:
        """Keep the worst lag of the last minute, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_SECONDS
            await asyncio.sleep(LAG_EVERY_SECONDS)
            self._lags.append(loop.time() - due)
            LOOP_LAG.set(max(self._lags))
