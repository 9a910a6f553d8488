"""Clients that keep a connection and give nothing, or a little from time to time."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from tests.e2e.raw_http import CLOSED_WITHIN, Heard, Wire, heard

DRIP_SECONDS = 0.5
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
JSON_HEAD = b"Content-Length: 1000\r\n\r\n{"


async def drip(streams: Streams, begin: bytes, drop: bytes, seconds: float = DRIP_SECONDS) -> Heard:
    """Begin, then say a little from time to time, for ever; what came until the connection closed."""
    reader, writer = streams

    async def dripping() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(drop)
                await writer.drain()
                await asyncio.sleep(seconds)

    writer.write(begin)
    task = asyncio.create_task(dripping())
    try:
        return await heard(reader, writer)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def upload(wire: Wire) -> bytes:
    """The beginning of a file."""
    head = wire.head("/attachments/temporary").replace(b"application/json", b"multipart/form-data; boundary=b")
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\n\r\n%PDF-1.7'
    return head + b"Content-Length: 100000\r\n\r\n" + part


# Name -> (what is said first, what is said again and again, the statuses that may come)
SLOW: dict[str, tuple[Callable[[Wire], bytes], bytes, set[int]]] = {
    "nothing at all": (lambda _: b"", b"", set()),
    "a line without end": (lambda _: b"GET /", b"a", {408}),
    "slow headers": (lambda wire: wire.head(), b"X-Slow: a\r\n", {408}),
    "slow body": (lambda wire: wire.head() + JSON_HEAD, b" ", {408}),
    "silent body": (lambda wire: wire.head() + JSON_HEAD, b"", {408}),
    "slow chunks": (lambda wire: wire.head() + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", {408}),
    "slow chunk extension": (lambda wire: wire.head() + b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"b", {408}),
    "slow trailers": (
        lambda wire: wire.head() + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"a: b\r\n", {408, 400, 422},
    ),
    "waiting for 100": (
        lambda wire: wire.head() + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n", b"", {100, 408},
    ),
    "slow upload": (lambda wire: upload(wire), b"x", {408}),
    "idle after an answer": (lambda _: b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"", {200}),
    "body that nobody reads": (
        lambda _: b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"", {200},
    ),
    "body of a stranger": (lambda _: b"POST /candidates HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n", b"", {401}),
}  # fmt: skip


async def say(mute: socket.socket, content: bytes) -> None:
    """Raises TimeoutError when the other side takes no more."""
    async with asyncio.timeout(1):
        await asyncio.get_running_loop().sock_sendall(mute, content)


async def never_read(wire: Wire, questions: int) -> bool:
    """Ask so much and read nothing, until the gateway hangs up; whether it had stopped taking questions before.

    Raises TimeoutError when it does not hang up in time.
    """
    full = False
    with socket.socket() as mute:
        mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        mute.setblocking(False)
        await asyncio.get_running_loop().sock_connect(mute, (wire.host, wire.port))
        with contextlib.suppress(ConnectionError):
            try:
                await say(mute, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * questions)
            except TimeoutError:
                full = True
            async with asyncio.timeout(CLOSED_WITHIN):
                while True:
                    await asyncio.sleep(1)
                    with contextlib.suppress(TimeoutError):
                        await say(mute, b"G")
    return full
