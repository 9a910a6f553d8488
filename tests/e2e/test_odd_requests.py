"""Requests that two servers could read differently: one answer each, no second request out of a body, never a 5xx."""

import asyncio
import secrets
from typing import Any

import pytest

from tests.e2e.client import Client
from tests.e2e.raw_http import BODY, Heard, Wire

pytestmark = pytest.mark.any_broker

LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
ONE = "one"  # a request that may be taken, once

# Name -> (headers, body, statuses that the first answer may have)
FRAMES: dict[str, tuple[bytes, bytes, set[int]]] = {
    "length and chunks": (LENGTH + CHUNKED, CHUNKS, {202, 400}),
    "chunks and length": (CHUNKED + LENGTH, CHUNKS, {202, 400}),
    "length of the end of chunks": (b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n", {400}),
    "two lengths": (LENGTH + b"Content-Length: 5\r\n", BODY, {400}),
    "a list of lengths": (b"Content-Length: 19, 5\r\n", BODY, {400}),
    "length with a sign": (b"Content-Length: +19\r\n", BODY, {400}),
    "negative length": (b"Content-Length: -1\r\n", BODY, {400}),
    "length in hex": (b"Content-Length: 0x13\r\n", BODY, {400}),
    "length beyond all numbers": (b"Content-Length: 99999999999999999999999\r\n", BODY, {400}),
    "unknown transfer coding": (b"Transfer-Encoding: xchunked\r\n", CHUNKS, {400}),
    "two transfer codings": (b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS, {400}),
    "chunks inside something": (b"Transfer-Encoding: chunked, gzip\r\n", CHUNKS, {400}),
    "two transfer encodings": (CHUNKED + b"Transfer-Encoding: identity\r\n", CHUNKS, {400}),
    "space before the colon": (b"Transfer-Encoding : chunked\r\n", CHUNKS, {400}),
    "odd space before the value": (b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS, {400}),
    "folded header": (b"X-Folded: a\r\n b\r\n" + LENGTH, BODY, {400}),
    "folded framing": (b"Transfer-Encoding:\r\n chunked\r\n" + LENGTH, CHUNKS, {400}),
    "bare CR": (b"X-Odd: a\rTransfer-Encoding: chunked\r\n" + LENGTH, BODY, {400}),
    "bare LF": (b"X-Odd: a\n" + LENGTH, BODY, {202, 400}),
    "NUL": (b"X-Odd: a\0b\r\n" + LENGTH, BODY, {400}),
    "header without a name": (b": a\r\n" + LENGTH, BODY, {400}),
    "two hosts": (b"Host: other\r\n" + LENGTH, BODY, {400}),
    "two keys": (b"x-api-key: other\r\n" + LENGTH, BODY, {400}),
    "1,000 headers": (b"".join(b"X-%d: a\r\n" % n for n in range(1000)) + LENGTH, BODY, {431}),
    "a header of 300 kB": (b"X-Long: " + b"a" * 300_000 + b"\r\n" + LENGTH, BODY, {431}),
    "chunk extension": (CHUNKED, b"13;a=b;c\r\n" + BODY + b"\r\n0\r\n\r\n", {202, 400}),
    "chunk extension of 100 kB": (CHUNKED, b"13;a=" + b"b" * 100_000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    "chunk extension with LF": (CHUNKED, b"13;\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    "trailers that look like headers": (CHUNKED, CHUNKS[:-2] + b"x-api-key: other\r\nContent-Length: 5\r\n\r\n", {202}),
    "5,000 trailers": (CHUNKED, CHUNKS[:-2] + b"a: b\r\n" * 5000 + b"\r\n", {400}),
    "negative chunk": (CHUNKED, b"-1\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    "chunk size with 0x": (CHUNKED, b"0x13\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    "chunk beyond all numbers": (CHUNKED, b"ffffffffffffffffffff\r\n" + BODY + b"\r\n0\r\n\r\n", {400}),
    "chunk without its end": (CHUNKED, b"13\r\n" + BODY + b"0\r\n\r\n", {400}),
    "chunks with LF": (CHUNKED, b"13\n" + BODY + b"\n0\n\n", {400}),
}
# Name -> (bytes, statuses of the one answer; none: closed without a word)
LINES: dict[str, tuple[bytes, set[int]]] = {
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", {400}),
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n\r\n", {200}),
    "HTTP/1.0 with chunks": (b"POST /candidates HTTP/1.0\r\n" + CHUNKED + b"\r\n" + CHUNKS, {400}),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", {400}),
    "HTTP/1.2": (b"GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n", {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", set()),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + bytes(150), {400}),
    "absolute target": (b"GET http://other.test/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {200}),
    "CONNECT": (b"CONNECT other.example.test:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {400, 404, 405}),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {400, 404, 405}),
    "unknown method": (b"BREW /candidates HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {405}),
    "target of 100 kB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414, 431}),
    "upgrade to h2c": (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n", {200},
    ),
    "unread body": (b"POST /candidates HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n", {401}),
}  # fmt: skip


@pytest.fixture
def wire(stack: dict[str, Any]) -> Wire:
    return Wire(stack)


async def test_no_frame_smuggles_a_second_request(wire: Wire, client: Client) -> None:
    run = secrets.token_hex(6)
    smuggled = f"smuggled-{run}"
    second = wire.head(key=smuggled) + LENGTH + b"\r\n" + BODY

    async def said(number: int, headers: bytes, body: bytes) -> Heard:
        return await wire.say(wire.head(key=f"{ONE}-{run}-{number}") + headers + b"\r\n" + body + second)

    told = await asyncio.gather(*(said(n, *frame[:2]) for n, frame in enumerate(FRAMES.values())))
    # Behind these, which RFC 9112 lets pass, the frame's end is beyond doubt: what follows is a request like any other.
    plain = {"bare LF", "chunk extension", "trailers that look like headers"}
    for name, heard in zip(FRAMES, told, strict=True):
        assert heard.statuses, name
        assert heard.statuses[0] in FRAMES[name][2], (name, heard.statuses)
        assert len(heard.statuses) == 1 or name in plain, (name, heard.statuses)
        assert all(status < 500 for status in heard.statuses), (name, heard.statuses)
    view = await client.call("GET", f"/mutations/{smuggled}")
    assert view.status == 200, "behind those it comes through; if not, this test would show nothing"


async def test_a_body_is_never_read_as_a_request(wire: Wire, client: Client) -> None:
    smuggled = f"smuggled-{secrets.token_hex(6)}"
    inner = wire.head(key=smuggled) + LENGTH + b"\r\n" + BODY
    sized = b"Content-Length: %d\r\n" % len(inner)
    outer = [
        wire.head() + sized,  # malformed JSON
        wire.head().replace(wire.key, b"wrong") + sized,  # refused before its body
        wire.head(method="GET", path="/healthz") + sized,
        wire.head(method="GET", path="/mutations/none") + sized,
        wire.head(method="PUT") + sized,
        wire.head() + b"Content-Length: 5\r\n" + CHUNKED,
        wire.head() + b"Host: other\r\n" + sized,
        (wire.head() + sized).replace(b"\r\n", b"\n"),
        b"GET /healthz HTTP/1.0\r\n" + sized,
    ]
    for head in outer:
        end = b"\n" if b"\r\n" not in head else b"\r\n"
        heard = await wire.say(head + b"Connection: close" + end + end + inner)
        assert len(heard.statuses) == 1, (head, heard.statuses)
        assert heard.statuses[0] < 500
    assert (await client.call("GET", f"/mutations/{smuggled}")).status == 404


async def test_odd_lines_have_one_answer_or_none(wire: Wire) -> None:
    told = await asyncio.gather(*(wire.say(content) for content, _ in LINES.values()))
    for (name, (_, statuses)), heard in zip(LINES.items(), told, strict=True):
        assert len(heard.statuses) == bool(statuses), (name, heard.content[:200])
        assert set(heard.statuses) <= statuses, (name, heard.statuses)


async def test_pipelined_requests_are_answered_in_their_order(wire: Wire) -> None:
    ask = [b"GET /mutations/%d HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\n" % (n, wire.key) for n in range(20)]
    heard = await wire.say(b"\r\n".join([*ask, b""]) + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert heard.statuses == [404] * 20 + [200]
    places = [heard.content.index(b'"/mutations/%d"' % n) for n in range(20)]
    assert places == sorted(places)
