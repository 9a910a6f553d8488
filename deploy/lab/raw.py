"""Servers that send exactly the bytes they are told to, one request a connection, and the ways in which some behave."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

OK: Final = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LARGEST_BODY: Final = 4 * 1024 * 1024  # of a request; more is not waited for
DRIP_SECONDS: Final = 0.02

Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
Writes = Callable[[object, asyncio.StreamWriter], Awaitable[None]]  # whatever was asked for


class Source:
    """A server whose answer to each request (its path) is written by a function; counts requests and those at once."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.port = 0
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.at_once = self.most_at_once = 0

    def url(self, path: str = "/file", host: str = "source.example", scheme: str = "http") -> str:
        """A URL of this server under a name that a test's resolver knows."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            await reader.readexactly(_announced(head))  # what is left unread would become a reset
            self.heads.append(head)
            self.requests.append(head.split(" ")[1])
            await self._answer(self.requests[-1], writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


def _announced(head: str) -> int:
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length" and value.strip().isdecimal():
            return min(int(value), LARGEST_BODY)
    return 0


@asynccontextmanager
async def open_source(
    answer: Answer, tls: ssl.SSLContext | None = None, at: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Source]:
    """A running source, with TLS where a context is given; raises OSError when the port is taken."""
    source = Source(answer)
    server = await asyncio.start_server(source.serve, at, port, ssl=tls)
    source.port = server.sockets[0].getsockname()[1]
    yield source
    server.close()


def sends(*parts: bytes) -> Writes:
    """An answer of these raw bytes."""

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)

    return answer


def answered(status: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    """A whole answer; one of these headers may say another length."""
    length = (
        () if any(header.startswith(b"Content-Length") for header in headers) else (b"Content-Length: %d" % len(body),)
    )
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Connection: close", *length, *headers, b"", body])


def moved(to: str, status: int = 302) -> bytes:
    """A redirect."""
    return f"HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


async def resets(_: object, writer: asyncio.StreamWriter) -> None:
    """A connection that breaks with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def stalls(_: object, __: asyncio.StreamWriter) -> None:
    """Says nothing, and does not hang up."""
    await asyncio.sleep(3600)


def stalls_after(*parts: bytes) -> Writes:
    """Sends these bytes, then nothing more."""

    async def answer(asked: object, writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)
        await writer.drain()
        await stalls(asked, writer)

    return answer


def drips(head: bytes, piece: bytes, seconds: float = DRIP_SECONDS) -> Writes:
    """Sends the head, then a piece at a time without an end."""

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(seconds)

    return answer


def floods(head: bytes, block: bytes) -> Writes:
    """Sends the head, then blocks without an end, as fast as they are taken."""
    return drips(head, block, 0)
