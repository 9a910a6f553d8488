"""Clients that keep connections and give nothing: each is closed within the promised time, and others are served."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.e2e.client import Client, person
from tests.e2e.raw_http import CLOSED_WITHIN, Heard, Wire, heard

pytestmark = pytest.mark.any_broker

EACH = 30  # clients of each kind at once
DRIP_SECONDS = 0.5
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
JSON_HEAD = b"Content-Length: 1000\r\n\r\n{"


async def drip(streams: Streams, begin: bytes, drop: bytes) -> Heard:
    """Begin, then say a little from time to time, for ever; what came until the connection closed."""
    reader, writer = streams

    async def dripping() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(drop)
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)

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


async def served(client: Client, until: Awaitable[Any]) -> int:
    """How many writes others got through meanwhile; each must be accepted."""
    waiting, count = asyncio.ensure_future(until), 0
    while not waiting.done():
        async with asyncio.timeout(CLOSED_WITHIN):
            assert (await client.call("POST", "/candidates", person())).status == 202
        count += 1
        await asyncio.sleep(0.2)
    await waiting
    return count


async def test_every_kind_of_slow_client_is_closed_in_time_and_others_are_served(
    stack: dict[str, Any], client: Client
) -> None:
    wire = Wire(stack)

    async def one(name: str) -> tuple[str, list[int]]:
        first, drop, _ = SLOW[name]
        streams = await asyncio.open_connection(wire.host, wire.port)
        try:
            return name, (await drip(streams, first(wire), drop)).statuses
        finally:
            streams[1].close()

    told: list[tuple[str, list[int]]] = []

    async def all_of_them() -> None:
        told.extend(await asyncio.gather(*(one(name) for name in SLOW for _ in range(EACH))))

    assert await served(client, all_of_them()) >= 1
    assert len(told) == len(SLOW) * EACH
    odd = {(name, *statuses) for name, statuses in told if not set(statuses) <= SLOW[name][2]}
    assert odd == set()


async def test_a_client_that_never_reads_is_closed_in_time(stack: dict[str, Any], client: Client) -> None:
    wire = Wire(stack)
    mute = socket.socket()
    mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    mute.connect((wire.host, wire.port))
    mute.setblocking(False)
    loop, asked = asyncio.get_running_loop(), b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 500

    async def say(content: bytes) -> None:
        async with asyncio.timeout(1):
            await loop.sock_sendall(mute, content)

    async def closed() -> None:
        async with asyncio.timeout(CLOSED_WITHIN):
            with contextlib.suppress(ConnectionError):
                while True:
                    await asyncio.sleep(1)
                    with contextlib.suppress(TimeoutError):
                        await say(b"G")

    with mute:
        # More than all buffers on the way hold: the gateway can't go on writing, and takes no more questions.
        with pytest.raises(TimeoutError):
            await say(asked * 1000)
        assert await served(client, closed()) >= 1


async def test_a_client_that_says_no_more_but_would_listen_holds_nothing(stack: dict[str, Any]) -> None:
    wire = Wire(stack)
    for said in (wire.head() + JSON_HEAD, wire.head(), b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(CLOSED_WITHIN):
            assert b"HTTP/1.1 5" not in await reader.read()
        writer.close()
