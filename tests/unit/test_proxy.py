"""The proxy of the torture tests does to a connection what it says."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.torture.proxy import Mode, Proxy

WHILE = 0.2  # nothing arrives meanwhile
Echo = tuple[Proxy, list[bytes]]


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """A proxy before a server that sends back what it gets, and what that server got."""
    got: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            got.append(line)
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, got


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    writer.write(line)
    async with asyncio.timeout(5):
        return await reader.readline()


async def test_bytes_pass_and_so_does_the_end(echo: Echo) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", echo[0].port)

    assert await said(reader, writer, b"one\n") == b"one\n"
    writer.write_eof()
    assert await reader.read() == b""


async def test_a_cut_resets_what_is_there_and_refuses_what_comes(echo: Echo) -> None:
    proxy, _ = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said(reader, writer, b"one\n") == b"one\n"
    await proxy.switch(Mode.CUT)

    with pytest.raises(ConnectionResetError):
        await reader.read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)

    before = proxy.port
    await proxy.switch(Mode.PASS)
    assert proxy.port == before
    assert await said(*await asyncio.open_connection("127.0.0.1", proxy.port), b"two\n") == b"two\n"


async def test_silence_takes_connections_and_answers_nothing_until_it_ends(echo: Echo) -> None:
    proxy, got = echo
    await proxy.switch(Mode.SILENT)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"one\n")
    await asyncio.sleep(WHILE)
    assert got == []
    await proxy.switch(Mode.PASS)

    assert await reader.readline() == b"one\n"


async def test_half_open_delivers_what_is_sent_and_no_answer(echo: Echo) -> None:
    proxy, got = echo
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.switch(Mode.HALF_OPEN)
    writer.write(b"one\n")
    await asyncio.sleep(WHILE)
    assert got == [b"one\n"]
    assert not reader._buffer  # type: ignore[attr-defined]
    await proxy.switch(Mode.PASS)

    assert await reader.readline() == b"one\n"


async def test_delay_is_at_least_as_long_as_said(echo: Echo) -> None:
    proxy, _ = echo
    await proxy.switch(Mode.PASS, delay=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    clock = asyncio.get_running_loop().time
    began = clock()

    assert await said(reader, writer, b"one\n") == b"one\n"
    assert clock() - began >= 0.2  # there and back
