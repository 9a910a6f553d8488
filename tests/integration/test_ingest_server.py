"""The HTTP server as clients meet it: slow ones are cut, those in hand are served to the end, odd bytes answered."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.ingest.api.body import BodyReader
from services.ingest.server import serve
from services.ingest.settings import IngestSettings
from tests.fakes_ingest import IngestStand
from tests.retry import eventually

HEAD = b"POST /candidates HTTP/1.1\r\nHost: x\r\nx-api-key: key-of-acme\r\nContent-Type: application/json\r\n"
PATIENCE = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(stand: IngestStand, drain_seconds: float = 5.0, connections: int = 100) -> AsyncIterator[int]:
    settings = IngestSettings(http_port=free_port(), http_header_seconds=0.5, http_connections=connections)
    broke: list[bool] = []
    async with serve(stand.app, settings, lambda: broke.append(True), lambda: drain_seconds):
        yield await eventually(lambda: reachable(settings.http_port), PATIENCE)
    assert broke == []


async def reachable(port: int) -> int:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise AssertionError("not listening yet") from error
    writer.close()
    return port


async def send(port: int, content: bytes) -> bytes:
    """Everything that the server answers until it closes or has answered one request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read(65536)
    finally:
        writer.close()


async def test_slow_headers_are_cut() -> None:
    async with running(IngestStand()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /candidates HTTP/1.1\r\nHost: x\r\n")
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        assert b" 202 " not in answer
        writer.close()


async def test_slow_body_is_408() -> None:
    async with running(IngestStand(BodyReader(seconds=0.5))) as port:
        answer = await send(port, HEAD + b"Content-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


async def test_body_in_chunks_is_counted_and_taken() -> None:
    async with running(IngestStand()) as port:
        body = b'{"firstName":"Ann"}'
        chunks = b"".join(b"1\r\n" + body[n : n + 1] + b"\r\n" for n in range(len(body)))
        answer = await send(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    "target",
    [b"/mutations/%ff%fe", b"/mutations/%ed%a0%80", b"/%00", b"/candidates/%2e%2e", b"/mutations/k%231", b"//x"],
)
async def test_odd_paths_are_not_found(target: bytes) -> None:
    async with running(IngestStand()) as port:
        answer = await send(port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nx-api-key: key-of-acme\r\n\r\n")
    assert answer[9:12] in (b"404", b"400"), answer


async def test_request_in_hand_is_answered_when_the_server_stops_and_an_idle_connection_does_not_hold_it() -> None:
    stand = IngestStand()
    async with running(stand) as port:
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        idle_writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in await idle_reader.read(1000)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: 19\r\n\r\n{")
        await eventually(lambda: in_hand(stand), PATIENCE)
        loop = asyncio.get_running_loop()
        loop.call_later(0.3, writer.write, b'"firstName":"Ann"}')
        stopped_at = loop.time()
    assert loop.time() - stopped_at < PATIENCE
    async with asyncio.timeout(PATIENCE):
        assert b" 202 " in await reader.read(1000)
    assert len(stand.mutations()) == 1
    for open_writer in (writer, idle_writer):
        open_writer.close()


async def test_connections_beyond_the_budget_wait_until_idle_ones_are_cut() -> None:
    async with running(IngestStand(), connections=5) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
        assert (await send(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        for reader, writer in idle:
            async with asyncio.timeout(PATIENCE):
                assert await reader.read() == b""
            writer.close()


async def test_the_server_may_open_as_many_files_as_it_takes_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        async with running(IngestStand(), connections=600):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(600, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def in_hand(stand: IngestStand) -> None:
    assert stand.bodies.held > 0


async def test_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broke = asyncio.Event()
        settings = IngestSettings(http_port=taken.getsockname()[1])
        async with serve(IngestStand().app, settings, broke.set, lambda: 1.0), asyncio.timeout(PATIENCE):
            await broke.wait()
