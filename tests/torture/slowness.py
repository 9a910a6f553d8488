"""Slow strangers and a slow store: whatever handlers wait for takes seconds, now more, now less."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from tests.torture.proxy import Mode, Proxy
from tests.torture.world import World

ORIGIN_SECONDS: Final = (0.5, 5.0)  # for which downloads wait; longer than a rebalance does
RECEIVER_SECONDS: Final = (0.2, 2.0)
STORE_SECONDS: Final = (0.02, 0.1, 0.5)  # for every piece of a request to the store and of its answer
OPEN_SECONDS: Final = 0.2
STANDING_SECONDS: Final = 8.0  # within which a process has started and joined


async def _pulse(gate: asyncio.Event, bounds: tuple[float, float], world: World) -> None:
    """Whoever comes waits until the gate opens for a moment."""
    try:
        while True:
            gate.clear()
            await asyncio.sleep(world.rng.uniform(*bounds))
            gate.set()
            await asyncio.sleep(OPEN_SECONDS)
    finally:
        gate.set()


@dataclass
class SlowStore:
    """The way to the object store: mostly slow, and for a while almost at a stand."""

    proxy: Proxy
    _until: float = 0.0

    async def run(self, world: World) -> None:
        """Change for ever."""
        try:
            while True:
                if asyncio.get_running_loop().time() > self._until:
                    await self.proxy.switch(Mode.PASS, world.rng.choice(STORE_SECONDS))
                await asyncio.sleep(1)
        finally:
            await self.proxy.switch(Mode.PASS)

    async def stand_still(self, delay: float) -> None:
        """From now on and for a while."""
        self._until = asyncio.get_running_loop().time() + STANDING_SECONDS
        await self.proxy.switch(Mode.PASS, delay)


@asynccontextmanager
async def slowness(world: World, store: SlowStore) -> AsyncIterator[None]:
    """Slow downloads, receivers and store while the block runs."""
    site = world.client.site
    slow = [
        asyncio.create_task(_pulse(site.origin.gate, ORIGIN_SECONDS, world)),
        asyncio.create_task(_pulse(site.receiver.gate, RECEIVER_SECONDS, world)),
        asyncio.create_task(store.run(world)),
    ]
    try:
        yield
    finally:
        for task in slow:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
