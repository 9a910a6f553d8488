"""Servers on loopback, wherever this machine lets us listen, that count who connects."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.retry import eventually

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.255.255.254", "::1")
PORTS = (80, 443, 8080, 8443)


@dataclass
class Listeners:
    """What is bound, and how many connections each has taken."""

    bound: list[tuple[str, int]] = field(default_factory=list)
    accepts: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def listen(self, address: str, port: int) -> asyncio.Server:
        """Count connections to this address; raises OSError when it is taken or not ours to take."""

        async def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.accepts[address, port] += 1
            writer.close()

        server = await asyncio.start_server(taken, address, port)
        self.bound.append((address, port))
        return server

    async def prove(self) -> None:
        """Each of them counts: connect once, and forget it."""
        for address, port in self.bound:
            _, writer = await asyncio.open_connection(address, port)
            writer.close()

        async def counted() -> None:
            assert self.accepts == Counter(self.bound)

        await eventually(counted)
        self.accepts.clear()


@asynccontextmanager
async def open_listeners() -> AsyncIterator[Listeners]:
    """On every address and port that is free."""
    listeners = Listeners()
    async with AsyncExitStack() as servers:
        for address in ADDRESSES:
            for port in PORTS:
                with suppress(OSError):
                    await servers.enter_async_context(await listeners.listen(address, port))
        await listeners.prove()
        yield listeners
