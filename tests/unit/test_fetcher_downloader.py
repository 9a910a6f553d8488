"""The downloader against strangers on loopback: whole files arrive, everything else is a stable code, within bounds."""

import asyncio
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from deploy.lab.certificates import tls_pair
from deploy.lab.raw import OK, moved, open_source, resets, sends
from services.fetcher.answers import Failed, announced_size, judge
from services.fetcher.handler import Downloaded
from shared import limits
from shared.errors import OUTCOME_CODES, DependencyUnavailable
from shared.events import FileError
from tests.downloads import FILE, WHOLE, content, downloading, outcome
from tests.sources import EndlessSource, one_after_another


def nothing_left(directory: Path) -> bool:
    return not any(directory.iterdir())


async def test_small_file_arrives_whole_with_digest_and_declared_type() -> None:
    async with open_source(WHOLE) as source, downloading() as downloader:
        found = await downloader.download(source.url())
    assert isinstance(found, Downloaded)
    assert found.content_type == "application/pdf"
    assert content(found) == FILE
    assert "accept-encoding: identity" in source.heads[0].lower()


@pytest.mark.parametrize("size", [256 * limits.KIB - 1, 256 * limits.KIB, 3 * limits.MIB + 7, limits.URL_FILE_BYTES])
async def test_file_up_to_the_limit_arrives_whole(size: int, tmp_path: Path) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    answer = sends(OK, b"Content-Length: %d\r\n\r\n" % size, body)
    async with open_source(answer) as source, downloading(spool_directory=tmp_path) as downloader:
        assert content(await downloader.download(source.url())) == body
    assert nothing_left(tmp_path)


async def test_chunked_file_arrives_whole() -> None:
    answer = sends(OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n3\r\n678\r\n0\r\n\r\n")
    async with open_source(answer) as source, downloading() as downloader:
        assert content(await downloader.download(source.url())) == b"12345678"


@pytest.mark.parametrize(
    ("status", "code", "requests"),
    [(400, "source_error", 1), (401, "source_forbidden", 1), (403, "source_forbidden", 1), (404, "source_not_found", 1),
     (410, "source_not_found", 1), (418, "source_error", 1), (206, "source_error", 1), (304, "source_error", 1),
     (500, "source_error", 3), (503, "source_error", 3), (204, "empty_file", 1)],
)  # fmt: skip
async def test_status_has_its_code_and_only_transient_ones_are_tried_again(
    status: int, code: str, requests: int
) -> None:
    answer = sends(b"HTTP/1.1 %d X\r\nConnection: close\r\n\r\n" % status)
    assert await outcome(answer) == (code, requests)


async def test_later_try_succeeds() -> None:
    answers = one_after_another(sends(b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n"), resets, WHOLE)
    async with open_source(answers) as source, downloading() as downloader:
        assert content(await downloader.download(source.url())) == FILE
    assert len(source.requests) == 3


async def test_empty_body_is_an_empty_file() -> None:
    assert await outcome(sends(OK, b"Content-Length: 0\r\n\r\n")) == ("empty_file", 1)


@pytest.mark.parametrize(
    "answer",
    [
        sends(OK, b"Content-Length: 100\r\n\r\n", FILE),
        sends(OK, b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", b"64\r\nhalf"),
    ],
    ids=["length", "chunked"],
)
async def test_half_a_file_never_passes_for_a_whole_one(answer: Any) -> None:
    assert await outcome(answer) == ("source_incomplete", 3)


async def test_file_that_breaks_off_and_comes_whole_the_next_time_arrives() -> None:
    answers = one_after_another(sends(OK, b"Content-Length: 100\r\n\r\n", FILE), WHOLE)
    async with open_source(answers) as source, downloading() as downloader:
        assert content(await downloader.download(source.url())) == FILE


async def test_compressed_answer_is_no_file() -> None:
    packed = gzip.compress(b"x" * 1000)
    answer = sends(OK, b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed), packed)
    assert await outcome(answer) == ("source_error", 1)


@pytest.mark.parametrize("date", ["Mon, 01 Jan 0001 00:00:00 +2359", "Mon, 01 Jan 99999999999 00:00:00 GMT", "\xff"])
async def test_pause_until_an_absurd_date_is_none(date: str) -> None:
    answer = sends(f"HTTP/1.1 503 X\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
    with capture_logs() as logged:
        assert await outcome(answer) == ("source_error", 3)
    assert "download.broken" not in {entry["event"] for entry in logged}


async def test_announced_size_with_thousands_of_digits_is_an_error_of_the_source() -> None:
    response = httpx2.Response(200, headers={"Content-Length": "0" * 5000 + "1"})
    with pytest.raises(Failed) as caught:
        announced_size(response)
    assert caught.value.code == "source_error"


async def test_reason_phrase_that_is_no_utf8_does_not_spoil_the_file() -> None:
    answer = sends(b"HTTP/1.1 200 d\xe9j\xe0\r\nContent-Length: %d\r\n\r\n" % len(FILE), FILE)
    async with open_source(answer) as source, downloading() as downloader:
        assert content(await downloader.download(source.url())) == FILE


async def test_whatever_else_an_answer_sets_off_is_an_error_of_the_source() -> None:
    async def odd(host: str) -> Sequence[str]:
        raise ZeroDivisionError("set off by the host name")

    with capture_logs() as logged:
        assert (await outcome(WHOLE, resolver=odd))[0] == "source_error"
    assert "download.broken" in {entry["event"] for entry in logged}


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity"])
def test_transfer_coding_other_than_chunked_is_no_file(coding: str) -> None:
    judge(httpx2.Response(200, headers={"Transfer-Encoding": "Chunked"}))
    with pytest.raises(Failed) as caught:
        judge(httpx2.Response(200, headers={"Transfer-Encoding": coding}))
    assert caught.value.code == "source_error"


async def test_file_of_one_byte_more_than_the_limit_is_refused_though_its_size_was_not_announced() -> None:
    body = b"x" * (limits.URL_FILE_BYTES + 1)
    answer = sends(OK, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body), body, b"\r\n0\r\n\r\n")
    assert await outcome(answer) == ("too_large", 1)


async def test_announced_size_over_the_limit_is_refused_before_the_body() -> None:
    head = OK + b"Content-Length: %d\r\n\r\n" % (limits.URL_FILE_BYTES + 1)
    source = EndlessSource(head, b"x" * 65536)
    async with downloading() as downloader:
        found = await downloader.download(f"http://source.example:{source.port}/")
    await source.gone()
    assert found == FileError(code="too_large", message=OUTCOME_CODES["too_large"].advice)
    assert source.taken < limits.MIB


@pytest.mark.parametrize(
    ("head", "block"),
    [(OK + b"\r\n", b"x" * 65536), (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b"x" * 32768 + b"\r\n")],
    ids=["until close", "chunked"],
)
async def test_endless_body_is_cut_with_hardly_more_than_the_limit_taken(
    head: bytes, block: bytes, tmp_path: Path
) -> None:
    source = EndlessSource(head, block)
    async with downloading(spool_directory=tmp_path) as downloader:
        found = await downloader.download(f"http://source.example:{source.port}/")
    await source.gone()
    assert isinstance(found, FileError)
    assert found.code == "too_large"
    framing = len(block) - block.count(b"x")
    assert source.taken <= limits.URL_FILE_BYTES + 64 * limits.KIB + framing * (limits.URL_FILE_BYTES // 32768 + 3)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_three_redirects_are_followed(status: int) -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        step = int(path.removeprefix("/"))
        await (sends(moved(f"{step + 1}", status)) if step < 3 else WHOLE)(path, writer)

    async with open_source(answer) as source, downloading() as downloader:
        assert content(await downloader.download(source.url("/0"))) == FILE
    assert source.requests == ["/0", "/1", "/2", "/3"]


async def test_fourth_redirect_is_too_many() -> None:
    assert await outcome(sends(moved("/again"))) == ("too_many_redirects", 4)


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.2/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/", "http://localhost.local/", "file:///etc/passwd",
     "http://u:p@source.example/", "//169.254.169.254/latest/", "http://metadata.internal/", "http://[", "gopher://x.example/"],
)  # fmt: skip
async def test_redirect_to_a_refused_place_looks_like_a_dead_server(location: str) -> None:
    assert await outcome(sends(moved(location))) == ("source_unreachable", 1)


async def test_redirect_to_a_name_that_leads_inside_looks_like_a_dead_server() -> None:
    async def lookup(host: str) -> Sequence[str]:
        return ["127.0.0.2"] if host == "inside.example" else ["127.0.0.1"]

    assert await outcome(sends(moved("http://inside.example:8080/")), resolver=lookup) == ("source_unreachable", 1)


async def test_name_that_changes_its_address_between_redirects_is_refused() -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(host: str) -> Sequence[str]:
        return answers.pop(0)

    moved_on = moved("/again").replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    assert await outcome(sends(moved_on), resolver=rebinding) == ("source_unreachable", 1)
    assert answers == []


async def test_refused_filtered_and_timed_out_can_not_be_told_apart(unused_tcp_port: int) -> None:
    async def silent(_: str, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    async def lookup(host: str) -> Sequence[str]:
        return {"refused.example": ["127.0.0.2"], "closed.example": ["127.0.0.1"]}.get(host, ["127.0.0.1"])

    async with open_source(silent) as source, downloading(resolver=lookup, seconds=0.5) as downloader:
        found = [
            await downloader.download(url)
            for url in (
                source.url(host="refused.example"),
                "http://10.0.0.1/",
                f"http://closed.example:{unused_tcp_port}/",
                source.url(host="silent.example"),
            )
        ]
    assert found[0] == FileError(code="source_unreachable", message=OUTCOME_CODES["source_unreachable"].advice)
    assert found == [found[0]] * 4


async def test_endless_slow_body_ends_within_the_total_time() -> None:
    async def drips(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    assert await outcome(drips, seconds=0.6) == ("source_unreachable", 1)


async def test_body_slower_than_the_minimum_rate_is_given_up_before_the_total_time() -> None:
    async def drips(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with asyncio.timeout(20):
        assert await outcome(drips, seconds=3600.0, grace_seconds=0.3) == ("source_unreachable", 1)


async def test_pause_that_is_longer_than_the_time_left_ends_the_tries() -> None:
    answer = sends(b"HTTP/1.1 429 X\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n")
    assert await outcome(answer) == ("source_error", 1)


async def test_host_that_asks_for_a_pause_gets_it() -> None:
    answers = one_after_another(sends(b"HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"), WHOLE)
    loop = asyncio.get_running_loop()
    async with open_source(answers) as source, downloading() as downloader:
        started = loop.time()
        assert content(await downloader.download(source.url())) == FILE
        assert loop.time() - started >= 1.0  # a lower bound: the pause is kept, however slow the machine


async def test_pause_that_one_url_of_a_host_asked_for_holds_for_its_others() -> None:
    asks = sends(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
    loop = asyncio.get_running_loop()
    async with open_source(one_after_another(asks, WHOLE)) as source, downloading(seconds=0.5) as downloader:
        asked = loop.time()
        assert isinstance(await downloader.download(source.url("/1")), FileError)
        other = await downloader.download(source.url("/2"))
        assert content(other) == FILE
        assert loop.time() - asked >= 1.0  # a lower bound


async def test_https_source_arrives_and_is_not_led_to_plain_http(tmp_path: Path) -> None:
    server, client = tls_pair("source.example", tmp_path)
    async with open_source(WHOLE) as plain, downloading(tls=client) as downloader:
        answers = one_after_another(WHOLE, sends(moved(plain.url())))
        async with open_source(answers, server) as source:
            assert content(await downloader.download(source.url(scheme="https"))) == FILE
            found = await downloader.download(source.url(scheme="https"))
    assert isinstance(found, FileError)
    assert found.code == "source_unreachable"
    assert plain.requests == []


async def test_certificate_for_another_name_is_no_source(tmp_path: Path) -> None:
    server, client = tls_pair("other.example", tmp_path)
    async with open_source(WHOLE, server) as source, downloading(tls=client) as downloader:
        found = await downloader.download(source.url(scheme="https"))
    assert isinstance(found, FileError)
    assert found.code == "source_unreachable"
    assert source.requests == []


async def test_no_more_than_sixteen_visit_a_host_at_once() -> None:
    async def slow(path: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await WHOLE(path, writer)

    async with open_source(slow) as source, downloading() as downloader:
        found = await asyncio.gather(*(downloader.download(source.url(f"/{n}")) for n in range(60)))
    assert [content(one) for one in found] == [FILE] * 60
    assert source.most_at_once == limits.DOWNLOADS_PER_HOST


async def test_disk_that_refuses_is_our_own_trouble_and_no_outcome(tmp_path: Path) -> None:
    size = 512 * limits.KIB
    answer = sends(OK, b"Content-Length: %d\r\n\r\n" % size, b"x" * size)
    async with open_source(answer) as source, downloading(spool_directory=tmp_path / "missing") as downloader:
        with pytest.raises(DependencyUnavailable):
            await downloader.download(source.url())
