"""What every object store promises, asked of the stand-in and of the adapter over a real S3 server."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, cast

import httpx2
import pytest
from pydantic import SecretStr

from shared.blobs import S3Blobs, open_blobs
from shared.errors import BlobMissing, DependencyUnavailable
from shared.limits import MIB
from shared.settings import EngineSettings
from tests.fakes import InMemoryBlobs
from tests.stacks import Handle

Blobs = InMemoryBlobs | S3Blobs


@pytest.fixture(scope="session")
def s3_settings(servers: Handle) -> EngineSettings:
    return EngineSettings(
        s3_endpoint=servers["s3"]["endpoint"],
        s3_bucket=servers["s3"]["bucket"],
        s3_access_key=SecretStr(servers["s3"]["accessKey"]),
        s3_secret_key=SecretStr(servers["s3"]["secretKey"]),
    )


@pytest.fixture
async def s3(s3_settings: EngineSettings) -> AsyncIterator[S3Blobs]:
    async with open_blobs(s3_settings, connections=8) as blobs:
        await blobs.ensure_bucket()
        yield blobs


@pytest.fixture(params=["memory", "s3"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    return InMemoryBlobs() if request.param == "memory" else request.getfixturevalue("s3")


@pytest.fixture
def place() -> str:
    """A prefix that no other test uses."""
    return f"staging/{secrets.token_hex(8)}/"


@pytest.mark.parametrize("size", [0, 1, 100_000, 2 * MIB + 1])
@pytest.mark.parametrize("kind", ["bytes", "file"])
async def test_what_was_put_is_what_is_got(blobs: Blobs, place: str, size: int, kind: str) -> None:
    content = os.urandom(size)
    with _file(content) as file:
        await blobs.put(place + "a", content if kind == "bytes" else file, size, "application/pdf")
    assert await blobs.get(place + "a") == content
    assert b"".join([piece async for piece in blobs.stream(place + "a")]) == content
    assert await blobs.head(place + "a") == size


async def test_a_file_is_put_whole_wherever_it_stands(blobs: Blobs, place: str) -> None:
    with _file(b"all of it") as body:
        body.seek(9)
        await blobs.put(place + "a", body, 9)
    assert await blobs.get(place + "a") == b"all of it"


def _file(content: bytes) -> BinaryIO:
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
    file.write(content)
    file.flush()
    return file


async def test_a_second_put_replaces_the_first(blobs: Blobs, place: str) -> None:
    await blobs.put(place + "a", b"first", 5)
    await blobs.put(place + "a", b"2nd", 3)
    assert await blobs.get(place + "a") == b"2nd"


async def test_ranges_end_where_the_object_ends(blobs: Blobs, place: str) -> None:
    await blobs.put(place + "a", b"0123456789", 10)
    assert await blobs.get(place + "a", 2, 3) == b"234"
    assert await blobs.get(place + "a", 7) == b"789"
    assert await blobs.get(place + "a", 8, 100) == b"89"
    assert await blobs.get(place + "a", 10, 5) == b""
    assert await blobs.get(place + "a", 3, 0) == b""


async def test_a_missing_object_is_missing_everywhere(blobs: Blobs, place: str) -> None:
    assert await blobs.head(place + "none") is None
    with pytest.raises(BlobMissing):
        await blobs.get(place + "none")
    with pytest.raises(BlobMissing):
        await blobs.get(place + "none", 0, 10)
    with pytest.raises(BlobMissing):
        await blobs.copy(place + "none", place + "b")
    with pytest.raises(BlobMissing):
        await anext(aiter(blobs.stream(place + "none")))


async def test_a_copy_stays_when_its_source_is_deleted(blobs: Blobs, place: str) -> None:
    await blobs.put(place + "a", b"content", 7)
    await blobs.copy(place + "a", place + "b c/ü%41")
    await blobs.delete([place + "a"])
    assert await blobs.get(place + "b c/ü%41") == b"content"
    await blobs.copy(place + "b c/ü%41", place + "d")
    assert await blobs.get(place + "d") == b"content"


@pytest.mark.parametrize("count", [0, 1, 2, 1001])
async def test_deletion_takes_what_is_named_and_may_be_repeated(blobs: Blobs, place: str, count: int) -> None:
    there = {*range(min(count, 10)), *range(max(0, count - 10), count), "kept"}
    await asyncio.gather(*(blobs.put(f"{place}{n}", b"x", 1) for n in there))
    for _ in range(2):
        await blobs.delete([f"{place}{n}" for n in range(count)])
    assert [key async for key, _, _ in blobs.list(place)] == [f"{place}kept"]


async def test_a_listing_is_in_the_order_of_keys_and_knows_sizes_and_times(blobs: Blobs, place: str) -> None:
    for name in ("b/2", "a", "b/10"):
        await blobs.put(place + name, name.encode(), len(name))
    found = [entry async for entry in blobs.list(place)]
    assert [(key.removeprefix(place), size) for key, size, _ in found] == [("a", 1), ("b/10", 4), ("b/2", 3)]
    now = datetime.now(UTC)
    assert all(now - timedelta(minutes=2) < modified <= now + timedelta(minutes=1) for _, _, modified in found)
    assert [key async for key, _, _ in blobs.list(place + "b/")] == [place + "b/10", place + "b/2"]


async def test_many_requests_share_few_connections(blobs: Blobs, place: str) -> None:
    await asyncio.gather(*(blobs.put(f"{place}{n}", b"%d" % n, len(str(n))) for n in range(50)))
    got = await asyncio.gather(*(blobs.get(f"{place}{n}") for n in range(50)))
    assert got == [b"%d" % n for n in range(50)]


async def test_the_bucket_may_be_there_already(blobs: Blobs) -> None:
    await blobs.ensure_bucket()


async def test_a_presigned_download_is_an_attachment_of_the_judged_type(s3: S3Blobs, place: str) -> None:
    await s3.put(place + "a", b"<b>text</b>", 11, "text/html")
    url = await s3.presign_get(place + "a", 60, "Lebenslauf Müller.txt", "text/plain")
    answer = await _download(url)
    assert answer.content == b"<b>text</b>"
    assert answer.headers["Content-Type"] == "text/plain"
    disposition = "attachment; filename=\"Lebenslauf Muller.txt\"; filename*=UTF-8''Lebenslauf%20M%C3%BCller.txt"
    assert answer.headers["Content-Disposition"] == disposition
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_presigned_url_names_the_public_endpoint_and_cannot_be_bent(
    s3_settings: EngineSettings, place: str
) -> None:
    public = s3_settings.s3_endpoint.replace("127.0.0.1", "localhost")
    async with open_blobs(s3_settings.model_copy(update={"s3_public_endpoint": public + "/"})) as s3:
        await s3.ensure_bucket()
        await s3.put(place + "a", b"secret", 6)
        url = await s3.presign_get(place + "a", 60, "a.txt", "text/plain")
    assert url.startswith(f"{public}/{s3_settings.s3_bucket}/{place}a?")
    assert (await _download(url)).content == b"secret"
    assert (await _download(url.replace("text%2Fplain", "text%2Fhtml"))).status_code == 403


async def _download(url: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(url)


@pytest.mark.parametrize("broken", ["nobody listens", "wrong key", "closes every connection"])
async def test_whatever_is_wrong_with_the_store_is_a_dependency_that_is_away(
    s3_settings: EngineSettings, broken: str
) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as rude:
        endpoints = {
            "nobody listens": "http://127.0.0.1:1",
            "closes every connection": f"http://127.0.0.1:{rude.sockets[0].getsockname()[1]}",
        }
        update = (
            {"s3_endpoint": endpoints[broken]}
            if broken in endpoints
            else {"s3_secret_key": SecretStr("another-secret")}
        )
        async with open_blobs(s3_settings.model_copy(update=update)) as s3:
            calls = [
                s3.put("a", b"x", 1),
                s3.put("a", _file(b"x"), 1),
                s3.get("a"),
                s3.head("a"),
                s3.copy("a", "b"),
                s3.delete(["a"]),
                s3.delete(["a", "b"]),
                s3.ensure_bucket(),
                _first(s3),
            ]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DependencyUnavailable] * len(calls)


async def _first(s3: S3Blobs) -> None:
    async for _ in s3.list("a"):
        return


async def test_a_connection_lost_on_the_way_is_tried_again_from_the_start(
    s3_settings: EngineSettings, place: str
) -> None:
    content, store = os.urandom(MIB), s3_settings.s3_endpoint.rsplit(":", 1)[1]
    lost = 0

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Drops the first two connections in the middle of the body; hands the third one through."""
        nonlocal lost
        if lost < 2:
            lost += 1
            await reader.readexactly(300_000)
            writer.transport.abort()
            return
        to_store = await asyncio.open_connection("127.0.0.1", int(store))
        await asyncio.gather(_pump(reader, to_store[1]), _pump(to_store[0], writer))

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_blobs(s3_settings.model_copy(update={"s3_endpoint": endpoint})) as s3:
            with _file(content) as body:
                await s3.put(place + "a", body, len(content))
    async with open_blobs(s3_settings) as s3:
        assert lost == 2
        assert await s3.get(place + "a") == content


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
    writer.close()


async def test_without_keys_nothing_goes_looking_for_some(s3_settings: EngineSettings) -> None:
    with pytest.raises(ValueError, match="ENGINE_S3_ACCESS_KEY"):
        async with open_blobs(s3_settings.model_copy(update={"s3_access_key": SecretStr("")})):
            pass
