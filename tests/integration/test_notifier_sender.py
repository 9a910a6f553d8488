"""Whatever a receiver does, sending ends in bounded time as an answer; all on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
from aiohttp import web

from services.notifier.dispatch import Answer
from services.notifier.sender import HttpSender
from shared.egress import EgressPolicy, open_egress_client
from shared.limits import CALLBACK_ANSWER_BYTES

LOOPBACK = EgressPolicy.from_settings(["127.0.0.0/8"])
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiver(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


@asynccontextmanager
async def raw_receiver(answer: Raw) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    server.close()


async def send(url: str, policy: EgressPolicy = LOOPBACK, seconds: float = 10.0) -> Answer:
    async with open_egress_client(policy, user_agent="test") as client:
        return await HttpSender(client, policy, seconds).send(url, {"webhook-id": "msg_1"}, b'{"a": 1}')


def answering(status: int, text: str = "", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return handler


async def test_the_exact_bytes_and_headers_arrive() -> None:
    seen: list[tuple[str, bytes, str, str]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, await request.read(), request.headers["webhook-id"], request.path_qs))
        return web.Response(text="thanks")

    async with receiver(handler) as url:
        answer = await send(url + "?a=%2Fb")
    assert seen == [("POST", b'{"a": 1}', "msg_1", "/hook?a=%2Fb")]
    assert (answer.status, answer.text, answer.error) == (200, "thanks", None)


@pytest.mark.parametrize("status", [204, 410, 500])
async def test_the_status_is_reported_as_it_is(status: int) -> None:
    async with receiver(answering(status)) as url:
        assert (await send(url)).status == status


async def test_a_redirect_is_not_followed() -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with receiver(handler) as url:
        assert (await send(url)).status == 307
    assert paths == ["/hook"]


async def test_retry_after_is_handed_on() -> None:
    async with receiver(answering(429, **{"Retry-After": "17"})) as url:
        answer = await send(url)
    assert (answer.status, answer.retry_after) == (429, "17")


async def test_a_hanging_receiver_is_a_time_out() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_receiver(hang) as url:
        answer = await send(url, seconds=0.3)
    assert (answer.status, answer.error) == (None, "timeout")


async def test_a_receiver_that_drips_its_headers_is_a_time_out() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x-more: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_receiver(drip) as url:
        answer = await send(url, seconds=0.5)
    assert (answer.status, answer.error) == (None, "timeout")


async def test_a_connection_that_breaks_is_a_failure() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with raw_receiver(reset) as url:
        answer = await send(url)
    assert (answer.status, answer.error) == (None, "broken")


async def test_no_http_is_a_failure() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nothing\r\n")
        await writer.drain()

    async with raw_receiver(nonsense) as url:
        answer = await send(url)
    assert (answer.status, answer.error) == (None, "broken")


async def test_of_an_endless_answer_only_the_start_is_read() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()
            sent += 4096

    async with raw_receiver(endless) as url:
        answer = await send(url)
    assert answer.status == 200
    assert answer.text == "x" * CALLBACK_ANSWER_BYTES
    assert sent < 10 * 1024 * 1024


async def test_a_status_counts_even_if_the_rest_of_the_answer_never_comes() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
        await writer.drain()
        await reader.read()

    async with raw_receiver(half) as url:
        answer = await send(url, seconds=2.0)
    assert (answer.status, answer.text) == (200, "only this")


async def test_text_that_is_no_utf8_is_kept_readable() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"caf\xe9\x00")

    async with receiver(handler) as url:
        assert (await send(url)).text == "caf\ufffd\x00"


async def test_an_address_that_is_refused_looks_like_one_that_is_dead() -> None:
    called: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response()

    async with receiver(handler) as url:
        refused = await send(url, EgressPolicy())
        assert called == []
        assert (await send(url)).status == 200
    dead = await send(url)
    assert (refused.status, refused.error, refused.text) == (dead.status, dead.error, dead.text)
    assert dead.error == "unreachable"


async def test_a_name_that_leads_to_loopback_is_refused_when_dialled() -> None:
    called: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response()

    async def lookup(host: str) -> list[str]:
        return ["127.0.0.1"]

    policy = EgressPolicy.from_settings(["::1/128"])
    async with receiver(handler) as url, open_egress_client(policy, user_agent="test", resolver=lookup) as client:
        named = url.replace("127.0.0.1", "hooks.example.com")
        answer = await HttpSender(client, policy, 10).send(named, {}, b"{}")
    assert (answer.status, answer.error, called) == (None, "unreachable", [])


async def test_connections_to_a_receiver_are_used_again() -> None:
    ports: set[int] = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    async with receiver(handler) as url, open_egress_client(LOOPBACK, user_agent="test") as client:
        sender = HttpSender(client, LOOPBACK)
        for _ in range(5):
            assert (await sender.send(url, {}, b"{}")).status == 200
    assert len(ports) == 1


@pytest.mark.parametrize("location", ["http://xn--/", "http://[::1", "//:0", "http://a b/", "\u00e9"])
async def test_a_hostile_redirect_target_breaks_nothing(location: str) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()

    async with raw_receiver(redirect) as url:
        answer = await send(url)
    assert answer.status == 302 or answer.error == "broken"


async def test_a_reason_phrase_that_is_no_utf8_does_not_hide_the_status() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 d\xe9j\xe0\r\ncontent-length: 2\r\n\r\nok")
        await writer.drain()

    async with raw_receiver(answer) as url:
        found = await send(url)
    assert (found.status, found.text, found.error) == (200, "ok", None)


class NeverClosing(httpx2.AsyncByteStream):
    """An answer that has come whole, on a connection that can't be given back."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"ok"

    async def aclose(self) -> None:
        await asyncio.sleep(3600)


async def test_a_connection_that_does_not_close_does_not_hold_the_attempt() -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=NeverClosing()))
    async with httpx2.AsyncClient(transport=transport) as client, asyncio.timeout(20):
        answer = await HttpSender(client, LOOPBACK, 0.3).send("http://127.0.0.1/hook", {}, b"{}")
    assert (answer.status, answer.text) == (200, "ok")
