"""Places at hosts and in flight: who waits keeps its time, and our own shortages are no outcome of a file."""

import asyncio
import resource
from collections.abc import Sequence

import pytest

from deploy.lab.raw import moved, open_source, sends
from services.fetcher.handler import SourceBusy
from shared.errors import DependencyUnavailable
from shared.lookups import LookupsBusy
from tests.downloads import FILE, WHOLE, content, downloading
from tests.sources import one_after_another


@pytest.mark.parametrize(
    "first", [moved("/file"), b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"], ids=["moved", "again"]
)
async def test_a_redirect_or_retry_at_the_same_host_keeps_its_place(first: bytes) -> None:
    answers = one_after_another(sends(first), WHOLE)
    async with open_source(answers) as source, downloading(per_host=1) as downloader:
        found = await asyncio.gather(*(downloader.download(source.url(path)) for path in ("/file", "/a", "/b")))
    assert [content(one) for one in found] == [FILE] * 3
    assert source.requests == ["/file", "/file", "/a", "/b"]


async def test_waiting_for_a_place_at_another_host_does_not_use_up_the_time() -> None:
    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/slow":
            await asyncio.sleep(0.6)
        await (sends(moved(source.url(host="crowded.example"))) if path == "/moved" else WHOLE)(path, writer)

    async with open_source(answer) as source, downloading(per_host=1, seconds=2.0) as downloader:
        slow = [downloader.download(source.url("/slow", host="crowded.example")) for _ in range(4)]
        found = await asyncio.gather(*slow, downloader.download(source.url("/moved")))
    assert [content(one) for one in found] == [FILE] * 5


async def test_no_place_at_a_host_in_time_is_no_outcome_of_the_file() -> None:
    answered = asyncio.Event()

    async def slow(path: str, writer: asyncio.StreamWriter) -> None:
        await answered.wait()
        await WHOLE(path, writer)

    async with open_source(slow) as source, downloading(per_host=1, host_wait_seconds=0.2) as downloader:
        first = asyncio.create_task(downloader.download(source.url()))
        await asyncio.sleep(0)
        with pytest.raises(SourceBusy):
            await downloader.download(source.url())
        answered.set()
        assert content(await first) == FILE
        assert content(await downloader.download(source.url())) == FILE


async def test_pause_of_one_host_takes_no_place_of_others() -> None:
    asks = sends(b"HTTP/1.1 429 X\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n")
    async with open_source(one_after_another(asks, WHOLE)) as source, downloading(in_flight=1) as downloader:
        paused = asyncio.create_task(downloader.download(source.url("/paused")))
        async with asyncio.timeout(20):
            while not source.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert content(await downloader.download(source.url(host="other.example"))) == FILE
        assert not paused.done()
        paused.cancel()


async def test_a_file_keeps_its_place_in_flight_until_it_is_closed() -> None:
    async with open_source(WHOLE) as source, downloading(in_flight=1) as downloader:
        first = await downloader.download(source.url())
        second = asyncio.create_task(downloader.download(source.url("/second", host="other.example")))
        await asyncio.wait([second], timeout=0.2)
        assert source.requests == ["/file"]
        assert content(first) == FILE
        assert content(await second) == FILE


async def test_no_socket_left_is_our_own_trouble_and_no_outcome() -> None:
    async with open_source(WHOLE) as source, downloading() as downloader:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(DependencyUnavailable):
                await downloader.download(source.url())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert content(await downloader.download(source.url())) == FILE


async def test_no_thread_to_look_a_name_up_is_no_outcome_of_the_file() -> None:
    async def busy(host: str) -> Sequence[str]:
        raise LookupsBusy

    async with downloading(resolver=busy) as downloader:
        with pytest.raises(SourceBusy):
            await downloader.download("http://source.example/")
