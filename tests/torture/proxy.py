"""A TCP proxy on loopback that becomes a bad network on command: slow, cut, silent, or with one direction dead."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import TracebackType

CHUNK_BYTES = 64 * 1024
RESET = struct.pack("ii", 1, 0)  # linger for no time


class Mode(Enum):
    """What happens to every connection, those under way included."""

    PASS = "bytes pass, after `delay` seconds"
    CUT = "connections are reset and new ones refused"
    SILENT = "connections are taken, and nothing is ever answered: bytes are read by nobody"
    HALF_OPEN = "what the client sends arrives; what the server answers does not"


class Proxy:
    """`async with Proxy("127.0.0.1", 27017) as proxy: proxy.port`; its port stays the same in every mode."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._mode, self._delay = Mode.PASS, 0.0
        self._moving = asyncio.Event()  # towards the server
        self._answering = asyncio.Event()  # towards the client
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.Task[None]] = set()
        self.port = 0

    async def switch(self, mode: Mode, delay: float = 0.0) -> None:
        """Change the weather; what SILENT and HALF_OPEN held back arrives when bytes pass again, as TCP would do."""
        self._mode, self._delay = mode, delay
        for direction, moves in ((self._moving, (Mode.PASS, Mode.HALF_OPEN)), (self._answering, (Mode.PASS,))):
            direction.set() if mode in moves else direction.clear()
        if mode is Mode.CUT:
            await self._close()
        elif self._server is None:
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> "Proxy":
        await self.switch(Mode.PASS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for pair in self._pairs:
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = asyncio.current_task()
        assert pair
        self._pairs.add(pair)
        pair.add_done_callback(self._pairs.discard)
        with suppress(OSError, BaseExceptionGroup, asyncio.CancelledError), self._ends(writer):
            await self._moving.wait()
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            with self._ends(target_writer):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, target_writer, self._moving))
                    group.create_task(self._pump(target_reader, writer, self._answering))

    @contextmanager
    def _ends(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Close in the end; where something went wrong by a reset, not by a polite end."""
        try:
            yield
        except BaseException:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
            raise
        writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, open_: asyncio.Event) -> None:
        while chunk := await source.read(CHUNK_BYTES):
            if self._delay:
                await asyncio.sleep(self._delay)
            await open_.wait()
            sink.write(chunk)
            await sink.drain()
        await open_.wait()
        sink.write_eof()
