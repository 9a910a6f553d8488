"""A load balancer at its simplest: hands connections in turn to the replicas whose /readyz is 200."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from deploy.stack.answers import says_ok
from deploy.stack.ports import LOOPBACK

LOOK_SECONDS: Final = 0.2
CHUNK_BYTES: Final = 64 * 1024


@dataclass
class Balancer:
    """`ports` of replicas on loopback; `port` is its own."""

    ports: Sequence[int]
    port: int = 0
    ready: set[int] = field(default_factory=set)
    refused: int = 0  # connections that a replica refused though it had been ready; another one got them
    alone: int = 0  # connections for which there was no replica
    _turn: int = 0
    _pairs: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """For clients."""
        return f"http://{LOOPBACK}:{self.port}"

    async def look(self, port: int) -> None:
        """Know of one replica whether it is ready, until cancelled."""
        while True:
            (self.ready.add if await says_ok(port, "/readyz") else self.ready.discard)(port)
            await asyncio.sleep(LOOK_SECONDS)

    def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has connected."""
        pair = asyncio.create_task(self._joined(reader, writer))
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)

    async def close(self) -> None:
        """End what is under way."""
        for pair in list(self._pairs):
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind = await self._connected()
            if behind is None:
                self.alone += 1
                return
            try:
                await asyncio.gather(_pump(reader, behind[1]), _pump(behind[0], writer))
            finally:
                behind[1].transport.abort()
        finally:
            writer.transport.abort()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        self._turn += 1
        candidates = [port for port in self.ports if port in self.ready]
        for number in range(len(candidates)):
            port = candidates[(self._turn + number) % len(candidates)]
            try:
                return await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                self.refused += 1
                self.ready.discard(port)
        return None


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(CHUNK_BYTES):
            sink.write(chunk)
            await sink.drain()
        sink.write_eof()


@asynccontextmanager
async def balancing(ports: Sequence[int]) -> AsyncIterator[Balancer]:
    """A balancer over these ports while the block runs."""
    balancer = Balancer(ports)
    server = await asyncio.start_server(balancer.taken, LOOPBACK, 0)
    balancer.port = server.sockets[0].getsockname()[1]
    looks = [asyncio.create_task(balancer.look(port)) for port in ports]
    try:
        yield balancer
    finally:
        for look in looks:
            look.cancel()
        server.close()
        await balancer.close()
        await asyncio.gather(*looks, return_exceptions=True)
