"""What a put sends when the store fails behind the bytes, and when the bytes are not those that were announced."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from aiohttp import web
from botocore.credentials import Credentials

from services.fetcher.handler import Downloaded, FetchHandler
from shared.blobs import S3Blobs
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.events import StagedObject
from shared.s3_requests import ATTEMPTS, SignedRequests, open_session
from tests.fakes_fetcher import ListedLedger, RecordingPublisher
from tests.unit.test_fetcher_handler import TRACE, accepted

CONTENT = bytes(range(256)) * 1200  # more than one chunk


class Store:
    """Reads each body; answers 503 for so many requests, and then keeps what comes."""

    def __init__(self, busy: int) -> None:
        self.busy, self.kept, self.lengths = busy, list[bytes](), list[int]()

    async def put(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.lengths.append(len(body))
        if len(self.lengths) <= self.busy:
            return web.Response(status=503)
        self.kept.append(body)
        return web.Response()


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[S3Blobs]:
    """The adapter over this store."""
    app = web.Application(client_max_size=2 * len(CONTENT))
    app.router.add_put("/{key:.*}", store.put)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/bucket"
    client: Any = None
    async with open_session(4) as session:
        requests = SignedRequests(session, Credentials("a", "b"), "us-east-1", url)
        yield S3Blobs(client, requests, "bucket", "us-east-1", url)
    await runner.cleanup()
    DEPENDENCIES.answered("s3")  # what a process notes is shared by all its tests


@pytest.fixture
def body(tmp_path: Path) -> Iterator[BinaryIO]:
    """The content in a file."""
    (tmp_path / "body").write_bytes(CONTENT)
    with (tmp_path / "body").open("rb") as file:
        yield file


async def test_a_file_whose_put_failed_is_put_whole_the_next_time(body: BinaryIO) -> None:
    store = Store(busy=ATTEMPTS)
    async with opened(store) as blobs:
        with pytest.raises(DependencyUnavailable):
            await blobs.put("staging/a", body, len(CONTENT))
        await blobs.put("staging/a", body, len(CONTENT))

    assert store.lengths == [len(CONTENT)] * (ATTEMPTS + 1)
    assert store.kept == [CONTENT]


async def test_a_downloaded_file_outlives_a_store_that_is_busy_for_a_while(body: BinaryIO) -> None:
    class Download:
        async def download(self, url: str) -> Downloaded:
            return Downloaded(body, len(CONTENT), "digest", None)

    store, publisher = Store(busy=ATTEMPTS), RecordingPublisher()
    async with opened(store) as blobs:
        assert await FetchHandler(Download(), blobs, ListedLedger(), publisher).handle(accepted("f1"), TRACE)

    assert store.kept == [CONTENT]
    assert isinstance(publisher.published[0][1].files["f1"], StagedObject)


@pytest.mark.parametrize("announced", [len(CONTENT) + 1, len(CONTENT) - 1])
@pytest.mark.parametrize("kind", ["bytes", "file"])
async def test_a_length_that_is_not_the_bodys_is_a_bug_and_never_an_absent_store(
    body: BinaryIO, announced: int, kind: str
) -> None:
    store = Store(busy=0)
    async with opened(store) as blobs:
        with pytest.raises(ValueError, match=f"{len(CONTENT)} bytes"):
            await blobs.put("staging/a", body if kind == "file" else CONTENT, announced)
        assert DEPENDENCIES.lost("s3") == 0

    assert store.kept == []
