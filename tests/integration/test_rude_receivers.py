"""The receiver as an enemy: every attempt ends as an answer with one word of ours, in bounded time and bytes.

Times are cut short by settings; none is measured. Milder manners are in test_notifier_sender.py.
"""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from deploy.lab.certificates import tls_pair
from deploy.lab.raw import drips, open_source, sends, stalls
from services.notifier.courier import BROKEN, TIMEOUT, UNREACHABLE
from services.notifier.dispatch import Answer
from services.notifier.sender import HttpSender
from shared.dialler import Lookup
from shared.egress import EgressPolicy, open_egress_client
from shared.framing import ANSWERS_WAITING
from shared.limits import CALLBACK_ANSWER_BYTES, FRAMING_BYTES, MIB
from tests.fence import fenced
from tests.retry import eventually
from tests.sources import EndlessSource, everything_here, filtered_port

LOOPBACK = EgressPolicy.from_settings(["127.0.0.1/32"])
OK = b"HTTP/1.1 200 OK\r\n"
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def sending(
    seconds: float = 10.0, tls: ssl.SSLContext | None = None, resolver: Lookup = everything_here
) -> AsyncIterator[HttpSender]:
    kept = httpx2.Limits(max_connections=100, keepalive_expiry=3600)
    async with open_egress_client(
        LOOPBACK, user_agent="t", connect_seconds=0.5, limits=kept, resolver=resolver, tls=tls
    ) as client:
        yield HttpSender(client, LOOPBACK, seconds)


async def attempt(url: str, seconds: float = 10.0, tls: ssl.SSLContext | None = None) -> Answer:
    async with sending(seconds, tls) as sender:
        return await sender.send(url, {"webhook-id": "msg_1"}, b'{"a": 1}')


@asynccontextmanager
async def receiver(answer: Raw) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b'{"a": 1}')
            await answer(reader, writer)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://hooks.example:{server.sockets[0].getsockname()[1]}/hook"
    server.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"ok", b"\x15\x03\x03\x00\x02\x02\x46", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
     OK + b"X: " + b"a" * 9000 + b"\r\n\r\n", OK + b"X: y\r\n" * 200 + b"\r\n", OK + b"Content-Length: -1\r\n\r\n",
     OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", OK + b"X\x00Y: z\r\n\r\n"],
    ids=["nothing", "http 0.9", "tls alert", "status text", "only 100", "long header", "many headers", "length below 0",
         "two lengths", "nul"],
)  # fmt: skip
async def test_what_is_no_answer_is_a_broken_attempt(answer: bytes) -> None:
    async with open_source(sends(answer)) as source:
        found = await attempt(source.url())
    assert (found.status, found.error, found.text) == (None, BROKEN, "")
    assert len(source.requests) == 1  # a POST is never sent twice in one attempt


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"\r\n" * 30000),
        (OK, b"Set-Cookie: a=b\r\n" * 3000),
        (OK + b"X: ", b"a" * 65536),
    ],
    ids=["103", "100", "empty lines", "headers", "a header"],
)
async def test_an_endless_beginning_is_cut_after_little(head: bytes, block: bytes) -> None:
    source = EndlessSource(head, block)
    found = await attempt(f"http://hooks.example:{source.port}/")
    await source.gone()
    assert (found.status, found.error) == (None, BROKEN)
    assert source.taken < 4 * FRAMING_BYTES


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (OK + b"Content-Length: 1000000000\r\n\r\n", b"x" * 65536),
        (OK + b"\r\n", b"x" * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 32768 + b"\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", b"a: bbbbb\r\n" * 1000),
    ],
    ids=["a gigabyte", "until close", "chunked", "tiny chunks", "trailers"],
)
async def test_of_an_endless_answer_the_status_counts_and_little_is_taken(head: bytes, block: bytes) -> None:
    source = EndlessSource(head, block)
    found = await attempt(f"http://hooks.example:{source.port}/")
    await source.gone()
    assert len(found.text) <= CALLBACK_ANSWER_BYTES
    assert source.taken < 4 * FRAMING_BYTES
    # Where what follows is no HTTP it may come in the same packet as the status, which then does not count.
    assert (found.status, found.error) in {(200, None), (None, BROKEN)}


async def test_a_bomb_stays_packed() -> None:
    packed = gzip.compress(b"\0" * 20 * MIB)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with open_source(sends(head, packed)) as source:
        found = await attempt(source.url())
    assert found.status == 200
    assert found.text == packed[:CALLBACK_ANSWER_BYTES].decode("utf-8", "replace")


@pytest.mark.parametrize(
    "slow",
    [stalls, drips(b"HTTP/1.1 200 ", b"O"), drips(OK + b"X: ", b"a"), drips(b"", b"HTTP/1.1 103 X\r\n\r\n")],
    ids=["says nothing", "drips its status line", "drips a header", "drips interim answers"],
)
async def test_slowness_before_the_status_is_a_time_out(slow: Raw) -> None:
    async with receiver(slow) as url:
        found = await attempt(url, seconds=0.4)
    assert (found.status, found.error) == (None, TIMEOUT)


@pytest.mark.parametrize(
    "slow",
    [drips(OK + b"\r\n", b"x"), drips(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")],
    ids=["drips a body", "drips chunks"],
)
async def test_slowness_after_the_status_takes_nothing_from_it(slow: Raw) -> None:
    async with receiver(slow) as url:
        found = await attempt(url, seconds=2.0)
    assert (found.status, found.error) == (200, None)


async def test_success_after_the_time_is_over_is_none_and_the_next_attempt_has_its_own_answer() -> None:
    over, late = asyncio.Event(), asyncio.Event()

    async def too_late(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not over.is_set():
            await over.wait()
            writer.write(OK + b"Content-Length: 2\r\n\r\nok")
            late.set()
        else:
            writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()

    async with receiver(too_late) as url, sending(1.5) as sender:
        first = await sender.send(url, {}, b'{"a": 1}')
        over.set()
        await late.wait()
        second = await sender.send(url, {}, b'{"a": 1}')
    assert (first.status, first.error) == (None, TIMEOUT)
    assert (second.status, second.text) == (500, "no")


async def test_noise_on_a_kept_connection_is_cut_after_little() -> None:
    answered, noise = asyncio.Event(), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 100
    sent, cut = 0, asyncio.Event()

    async def noisy(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        writer.write(OK + b"Content-Length: 2\r\n\r\nok")
        await answered.wait()
        try:
            while True:
                writer.write(noise)
                await writer.drain()
                sent += len(noise)
        finally:
            cut.set()

    async with receiver(noisy) as url, sending() as sender:
        assert (await sender.send(url, {}, b'{"a": 1}')).status == 200
        answered.set()
        await cut.wait()
        assert sent < 4 * FRAMING_BYTES


async def test_unasked_answers_on_a_kept_connection_are_not_hoarded() -> None:
    answered, hung_up = asyncio.Event(), asyncio.Event()

    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        await answered.wait()
        writer.write(b"HTTP/1.1 100 X\r\n\r\n" * (ANSWERS_WAITING + 1))
        with suppress(ConnectionError):
            await reader.read()
        hung_up.set()

    async with receiver(eager) as url, sending() as sender:
        assert (await sender.send(url, {}, b'{"a": 1}')).status == 204
        answered.set()
        async with asyncio.timeout(20):  # the connection would be kept for an hour
            await hung_up.wait()


async def test_slow_receivers_of_every_kind_do_not_hold_up_an_honest_one() -> None:
    kinds = [stalls, drips(OK + b"X: ", b"a"), drips(OK + b"\r\n", b"x"), drips(b"", b"HTTP/1.1 103 X\r\n\r\n")]
    reached = []

    def counted(answer: Raw) -> Raw:
        async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reached.append(answer)
            await answer(reader, writer)

        return counts

    async def all_are_at_it() -> None:
        assert len(reached) == len(kinds)

    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(receiver(counted(kind))) for kind in kinds]
        honest = await stack.enter_async_context(open_source(sends(OK, b"Content-Length: 2\r\n\r\nok")))
        sender = await stack.enter_async_context(sending(3600))
        held = [asyncio.create_task(sender.send(url, {}, b'{"a": 1}')) for url in slow]
        await eventually(all_are_at_it)
        assert (await sender.send(honest.url(), {}, b"{}")).status == 200
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


@pytest.mark.parametrize("wrong", ["expired", "a stranger's", "another name", "a handshake that stalls"])
async def test_wrong_tls_is_unreachable_and_gets_no_callback(wrong: str, tmp_path: Path) -> None:
    host = "other.example" if wrong == "another name" else "source.example"
    server, client = tls_pair(host, tmp_path, days=-1 if wrong == "expired" else 1)
    if wrong == "a stranger's":
        client = ssl.create_default_context()
    speaks = None if wrong == "a handshake that stalls" else server
    async with open_source(sends(OK, b"Content-Length: 0\r\n\r\n"), speaks) as source:
        found = await attempt(source.url(scheme="https"), tls=client)
    assert (found.status, found.error) == (None, UNREACHABLE)
    assert source.requests == []


async def test_what_can_not_be_reached_can_not_be_told_apart(unused_tcp_port: int) -> None:
    """Refused, closed, filtered or unknown to the resolver: one word, so no ports are scanned."""

    async def lookup(host: str) -> list[str]:
        if host == "unknown.example":
            raise OSError("no such name")
        return {"inside.example": ["127.0.0.2"], "nobody.example": []}.get(host, ["127.0.0.1"])

    with filtered_port() as filtered, fenced() as seen:
        urls = (
            "http://127.0.0.2/",
            "http://169.254.169.254/",
            "http://inside.example/",
            "http://unknown.example/",
            "http://nobody.example/",
            f"http://hooks.example:{unused_tcp_port}/",
            f"http://hooks.example:{filtered}/",
        )
        async with sending(resolver=lookup) as sender:
            found = [await sender.send(url, {}, b"{}") for url in urls]
    assert {(answer.status, answer.error, answer.text) for answer in found} == {(None, UNREACHABLE, "")}
    assert seen.connects == [("127.0.0.1", unused_tcp_port), ("127.0.0.1", filtered)]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_a_proxy_of_the_environment_changes_nothing(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = sends(OK, b"Content-Length: 2\r\n\r\nok")
    async with open_source(answer) as proxy, open_source(answer) as hook:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        assert (await attempt(hook.url())).status == 200
        assert (await attempt("http://127.0.0.2/")).error == UNREACHABLE
    assert (proxy.requests, hook.requests) == ([], ["/file"])
