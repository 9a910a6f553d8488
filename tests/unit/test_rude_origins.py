"""The origin as an enemy: whatever it sends, and however it is sent, ends as a stable code, in bounded time and bytes.

Times are cut short by settings; none is measured.
"""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from deploy.lab.certificates import tls_pair
from deploy.lab.raw import CHUNKED, OK, Answer, Source, drips, open_source, resets, sends, stalls, stalls_after
from shared import limits
from shared.errors import OUTCOME_CODES
from shared.events import FileError
from tests.downloads import FILE, WHOLE, content, downloading, outcome
from tests.fence import fenced
from tests.retry import eventually
from tests.sources import EndlessSource, filtered_port

GONE_WRONG = {"source_unreachable", "source_incomplete"}  # before or behind the headers: packets decide
UNREACHABLE = FileError(code="source_unreachable", message=OUTCOME_CODES["source_unreachable"].advice)
BOMB = gzip.compress(b"\0" * 20 * limits.MIB)


def redirect(location: bytes) -> bytes:
    return b"HTTP/1.1 302 X\r\nContent-Length: 0\r\nConnection: close\r\n" + location + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "code", "requests"),
    [
        (b"", "source_unreachable", 3),
        (FILE, "source_unreachable", 3),
        (b"SSH-2.0-nothing\r\n", "source_unreachable", 3),
        (b"\x15\x03\x03\x00\x02\x02\x46", "source_unreachable", 3),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "source_unreachable", 3),
        (b"HTTP/1.1 abc OK\r\n\r\n", "source_unreachable", 3),
        (b"HTTP/1.1 99999 OK\r\n\r\n", "source_unreachable", 3),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "source_unreachable", 3),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + FILE, "source_error", 1),
        (OK + b"X: " + b"a" * 9000 + b"\r\n\r\n" + FILE, "source_unreachable", 3),
        (OK + b"X: y\r\n" * 200 + b"\r\n" + FILE, "source_unreachable", 3),
        (OK + b"X\x00Y: z\r\n\r\n" + FILE, "source_unreachable", 3),
        (OK + b"no colon\r\n\r\n" + FILE, "source_unreachable", 3),
    ],
    ids=["nothing", "http 0.9", "ssh", "tls alert", "http 2", "status text", "status number", "only 100", "switching",
         "long header", "many headers", "nul", "no colon"],
)  # fmt: skip
async def test_what_is_no_answer_has_its_code(answer: bytes, code: str, requests: int) -> None:
    assert await outcome(sends(answer)) == (code, requests)


@pytest.mark.parametrize(
    "length", [b"-1", b"+21", b"0x15", b"21.0", b"21, 22", b"\xb2", b"9" * 30, b"21\r\nContent-Length: 22", b""]
)
async def test_a_length_that_is_none_or_two_is_no_file(length: bytes) -> None:
    code, _ = await outcome(sends(OK, b"Content-Length: " + length + b"\r\n\r\n", FILE))
    assert code in {"source_unreachable", "source_error"}


@pytest.mark.parametrize("behind", [FILE, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworse"])
async def test_more_than_was_announced_is_never_part_of_a_file(behind: bytes) -> None:
    answer = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour", behind)
    async with open_source(answer) as source, downloading() as downloader:
        found = await downloader.download(source.url())
    assert isinstance(found, FileError) or content(found) == b"four"


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloworld\r\n0\r\n\r\n", b"\r\n\r\n",
     b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n", b"5 5\r\nhello\r\n0\r\n\r\n"],
)  # fmt: skip
async def test_chunks_that_are_none_are_no_file(chunks: bytes) -> None:
    code, requests = await outcome(sends(CHUNKED, chunks))
    assert code in GONE_WRONG
    assert requests == 3


async def test_a_reset_in_the_middle_is_half_a_file() -> None:
    async def half(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"Content-Length: 100\r\n\r\n" + FILE)
        await writer.drain()
        await resets(path, writer)

    code, requests = await outcome(half)
    assert code in GONE_WRONG
    assert requests == 3


@pytest.mark.parametrize(
    "coding",
    [b"gzip", b"x-gzip", b"br", b"deflate", b"zstd", b"GZIP", b"identity, gzip", b"identity\r\nContent-Encoding: gzip",
     b"unknown"],
)  # fmt: skip
async def test_a_bomb_is_refused_packed(coding: bytes) -> None:
    head = OK + b"Content-Encoding: " + coding + b"\r\nContent-Length: %d\r\n\r\n" % len(BOMB)
    assert await outcome(sends(head, BOMB)) == ("source_error", 1)


async def test_a_bomb_that_does_not_say_so_stays_packed() -> None:
    answer = sends(OK, b"Content-Length: %d\r\n\r\n" % len(BOMB), BOMB)
    async with open_source(answer) as source, downloading() as downloader:
        assert content(await downloader.download(source.url())) == BOMB


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"", b"\r\n" * 30000),
        (b"HTTP/1.1 200 OK\r\n", b"Set-Cookie: a=b\r\n" * 3000),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536),
        (b"HTTP/1.1 200 ", b"a" * 65536),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n", b" folded\r\n" * 1000),
        (CHUNKED + b"1;", b"a" * 65536),
        (CHUNKED, b"0" * 65536),
        (CHUNKED, (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 60),
        (CHUNKED, b"1\r\nx\r\n" * 10000),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"a: bbbbb\r\n" * 1000),
    ],
    ids=["103", "100", "empty lines", "headers", "a header", "the status line", "a folded header", "a chunk extension",
         "a chunk size", "chunk extensions", "tiny chunks", "trailers"],
)  # fmt: skip
async def test_endless_framing_is_cut_after_little(head: bytes, block: bytes) -> None:
    source = EndlessSource(head, block)
    async with downloading(pauses=()) as downloader:
        found = await downloader.download(f"http://source.example:{source.port}/")
    await source.gone()
    assert isinstance(found, FileError)
    assert found.code in GONE_WRONG
    assert source.taken < 4 * limits.FRAMING_BYTES


async def test_a_body_that_ends_with_its_connection_is_not_whole_when_its_framing_was_too_much() -> None:
    hint = b"HTTP/1.1 103 X\r\nLink: </%s>\r\n\r\n" % (b"a" * 7000)
    headers = b"X: %s\r\n" % (b"a" * 8000)
    answer = sends(hint * (limits.FRAMING_BYTES // len(hint)), OK, headers * 9, b"\r\n", FILE)
    assert (await outcome(answer))[0] in GONE_WRONG


SLOW = {
    "says nothing": stalls,
    "stops in the status line": stalls_after(b"HTTP/1.1 2"),
    "stops in the headers": stalls_after(OK),
    "stops in the body": stalls_after(OK, b"Content-Length: 100\r\n\r\nhalf"),
    "stops before the last chunk": stalls_after(CHUNKED, b"5\r\nhello\r\n"),
    "drips its status line": drips(b"HTTP/1.1 200 ", b"O"),
    "drips a header": drips(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "drips interim answers": drips(b"", b"HTTP/1.1 103 X\r\n\r\n"),
    "drips chunks": drips(CHUNKED, b"1\r\nx\r\n"),
    "drips a body without an end": drips(OK + b"\r\n", b"x"),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=SLOW)
async def test_slowness_of_every_kind_ends_with_the_total_time(slow: Answer) -> None:
    assert (await outcome(slow, seconds=0.4))[0] == "source_unreachable"


@asynccontextmanager
async def rude_origins() -> AsyncIterator[list[Source]]:
    """One of each kind of slowness."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_source(slow)) for slow in SLOW.values()]


async def test_slow_origins_of_every_kind_do_not_hold_up_an_honest_one() -> None:
    async with downloading(seconds=3600.0) as downloader, open_source(WHOLE) as honest, rude_origins() as rude:
        held = [asyncio.create_task(downloader.download(one.url(host=f"rude-{one.port}.example"))) for one in rude]

        async def all_are_at_it() -> None:
            assert all(one.requests for one in rude)

        await eventually(all_are_at_it)
        assert content(await downloader.download(honest.url())) == FILE
        assert not any(task.done() for task in held)
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


@pytest.mark.parametrize(
    ("pause", "requests"),
    [("-5", 3), ("1e9", 3), ("0x10", 3), ("3, 4", 3), ("", 3), ("\u0661", 3), ("0", 3), ("9" * 400, 1), ("3600", 1),
     ("Mon, 01 Jan 2001 00:00:00 GMT", 3), ("Fri, 31 Dec 9999 23:59:59 GMT", 1)],
)  # fmt: skip
async def test_an_absurd_pause_neither_holds_nor_hurries(pause: str, requests: int) -> None:
    answer = f"HTTP/1.1 503 X\r\nRetry-After: {pause}\r\nContent-Length: 0\r\n\r\n".encode()
    assert await outcome(sends(answer)) == ("source_error", requests)


@pytest.mark.parametrize(
    ("location", "code"),
    [
        (b"", "source_error"),
        (b"Location:\r\n", "source_error"),
        (b"Location: /one\r\nLocation: http://127.0.0.2/\r\n", "source_not_found"),
        (b"Location: http://127.0.0.2/\r\nLocation: /one\r\n", "source_unreachable"),
        (b"Location: \\\\127.0.0.2\\x\r\n", "source_unreachable"),
        (b"Location: /\\127.0.0.2/\r\n", "source_unreachable"),
        (b"Location: ///127.0.0.2/\r\n", "source_not_found"),
        (b"Location: //127.0.0.2/\r\n", "source_unreachable"),
        (b"Location: http:\\\\127.0.0.2/\r\n", "source_unreachable"),
        (b"Location: /a b\r\n", "source_not_found"),
        (b"Location: /\xff\r\n", "source_not_found"),
        (b"Location: /\rHost: 127.0.0.2\r\n", "source_unreachable"),
        (b"Location: /\x00\r\n", "source_unreachable"),
        (b"Location: javascript:1\r\n", "source_unreachable"),
        (b"Location: http://[::1\r\n", "source_unreachable"),
        (b"Location: " + b"/a" * 4000 + b"\r\n", "source_unreachable"),
    ],
)
async def test_an_odd_location_leads_to_no_other_host(location: bytes, code: str) -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(redirect(location) if path == "/file" else b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")

    with fenced() as seen:
        async with open_source(answer) as source, downloading() as downloader:
            found = await downloader.download(source.url())
    assert found == FileError(code=code, message=OUTCOME_CODES[code].advice)
    assert {host for host, _ in seen.connects} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("location", "path"),
    [("there", "/a/there"), ("./there", "/a/there"), ("../there", "/there"), ("../../../there", "/there"),
     ("/there", "/there"), ("//source.example:{port}/there", "/there"), ("?there", "/a/file?there"),
     ("http://SOURCE.example:{port}/there#part", "/there"), ("there\r\nX: y", "/a/there")],
)  # fmt: skip
async def test_a_relative_location_is_followed_from_where_it_was_given(location: str, path: str) -> None:
    async def answer(asked: str, writer: asyncio.StreamWriter) -> None:
        if asked == "/a/file":
            writer.write(redirect(f"Location: {location}\r\n".format(port=source.port).encode()))
        else:
            await WHOLE(asked, writer)

    async with open_source(answer) as source, downloading() as downloader:
        assert content(await downloader.download(source.url("/a/file"))) == FILE
    assert source.requests == ["/a/file", path]


@pytest.mark.parametrize("location", ["/file", "#again", "/file?x", "//source.example:{port}/file"])
async def test_going_in_circles_ends(location: str) -> None:
    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(redirect(f"Location: {location}\r\n".format(port=source.port).encode()))

    async with open_source(answer) as source, downloading() as downloader:
        found = await downloader.download(source.url())
    assert found == FileError(code="too_many_redirects", message=OUTCOME_CODES["too_many_redirects"].advice)
    assert len(source.requests) == limits.REDIRECTS + 1


async def test_a_name_that_rebinds_on_the_way_is_looked_up_for_each_dial_and_refused() -> None:
    """The answer that was judged is the one that is dialled; the next dial asks again."""
    asked: list[str] = []

    async def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with open_source(sends(redirect(b"Location: /next\r\n"))) as source, downloading(rebinding) as downloader:
        found = await downloader.download(source.url())
    assert found == UNREACHABLE
    assert (source.requests, len(asked)) == (["/file"], 2)


def old_only(server: ssl.SSLContext) -> None:
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.minimum_version = server.maximum_version = ssl.TLSVersion.TLSv1_1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
@pytest.mark.parametrize("wrong", ["expired", "a stranger's", "another name", "old", "none"])
async def test_wrong_tls_is_no_source_and_gets_no_request(wrong: str, tmp_path: Path) -> None:
    host = "other.example" if wrong == "another name" else "source.example"
    server, client = tls_pair(host, tmp_path, days=-1 if wrong == "expired" else 1)
    if wrong == "a stranger's":
        client = ssl.create_default_context()
    if wrong == "old":
        old_only(server)
    async with open_source(WHOLE, None if wrong == "none" else server) as source, downloading(tls=client) as downloader:
        assert await downloader.download(source.url(scheme="https")) == UNREACHABLE
    assert source.requests == []


async def test_what_can_not_be_reached_can_not_be_told_apart(unused_tcp_port: int, tmp_path: Path) -> None:
    """Refused, closed, filtered, silent at each stage, unknown to the resolver: one answer, so no ports are scanned."""

    async def lookup(host: str) -> list[str]:
        if host == "unknown.example":
            raise OSError("no such name")
        return {"inside.example": ["127.0.0.2"], "nobody.example": []}.get(host, ["127.0.0.1"])

    _, client = tls_pair("source.example", tmp_path)
    async with open_source(stalls) as silent, downloading(lookup, client, seconds=0.8) as downloader:
        with filtered_port() as filtered:
            urls = (
                "http://127.0.0.2/",
                "http://169.254.169.254/",
                "http://inside.example/",
                "http://unknown.example/",
                "http://nobody.example/",
                f"http://source.example:{unused_tcp_port}/",
                f"https://source.example:{unused_tcp_port}/",
                f"http://source.example:{filtered}/",
                silent.url(),
                silent.url(scheme="https"),
            )
            found = {url: await downloader.download(url) for url in urls}
    assert found == dict.fromkeys(urls, UNREACHABLE)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY"])
async def test_a_proxy_of_the_environment_changes_nothing(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_source(WHOLE) as proxy, open_source(WHOLE) as source:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        async with downloading() as downloader:
            assert content(await downloader.download(source.url())) == FILE
            assert await downloader.download("http://127.0.0.2/") == UNREACHABLE
    assert proxy.requests == []
