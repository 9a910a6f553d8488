"""Temporary uploads over a real server, database and store: what is kept is whole, what breaks off leaves nothing."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from services.ingest.mongo_uploads import MongoUploads
from services.ingest.server import serve
from services.ingest.settings import IngestSettings
from services.ingest.uploads import Uploads
from shared.blobs import S3Blobs, open_blobs
from shared.content.judge import judge_bytes
from shared.ledger import Database, create_indexes, open_client, open_database
from shared.limits import MIB, TEMPORARY_FILE_BYTES
from shared.uploads import UploadDocument
from tests import corpus
from tests.e2e.stores import settings_of
from tests.fakes_ingest import IngestStand
from tests.forms import FORM_TYPE, form, head
from tests.retry import eventually
from tests.stacks import Handle

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HEADERS = {"x-api-key": "key-of-acme", "content-type": FORM_TYPE}
PDF = corpus.pdf()
UPLOADS = "staging/live/uploads/"


@dataclass
class House:
    """A running gateway over real stores."""

    database: Database
    blobs: S3Blobs
    stand: IngestStand
    url: str
    port: int

    async def left(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Keys of objects, and documents."""
        keys = [key async for key, _, _ in self.blobs.list(UPLOADS)]
        return keys, [document async for document in self.database.uploads.find()]


@pytest.fixture
async def database(servers: Handle) -> AsyncIterator[Database]:
    async with open_client(servers["mongodb"]) as client:
        name = f"uploads_{uuid.uuid4().hex}"
        database = open_database(client, name)
        await create_indexes(database)
        yield database
        await client.drop_database(name)


@asynccontextmanager
async def served(stand: IngestStand) -> AsyncIterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]

    async def reachable() -> None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            raise AssertionError("not listening yet") from error
        writer.close()

    async with serve(stand.app, IngestSettings(http_port=port), lambda: None, lambda: 5.0):
        await eventually(reachable)
        yield port


@pytest.fixture
async def house(servers: Handle, database: Database) -> AsyncIterator[House]:
    async with open_blobs(settings_of(servers)) as blobs:
        stand = IngestStand(real_uploads=Uploads(MongoUploads({"live": database}), blobs, judge_bytes))
        async with served(stand) as port:
            yield House(database, blobs, stand, f"http://127.0.0.1:{port}/attachments/temporary", port)
        await blobs.delete([key async for key, _, _ in blobs.list(UPLOADS)])


def long_form(size: int) -> Iterator[bytes]:
    """A form of one PDF of so many bytes, in pieces."""
    end = form()[:-2]
    yield head("cv.pdf") + PDF
    yield from (bytes(MIB) for _ in range((size - len(PDF)) // MIB))
    yield bytes((size - len(PDF)) % MIB) + b"\r\n" + end + b"\r\n"


async def poured(size: int) -> AsyncIterator[bytes]:
    for piece in long_form(size):
        yield piece


async def test_bytes_and_documents_are_kept_as_they_came(house: House) -> None:
    contents = {"cv.pdf": PDF + bytes(3 * MIB), "me.png": corpus.image("PNG"), "cv.doc": corpus.ole("WordDocument")}
    async with aiohttp.ClientSession() as session:
        async with session.post(house.url, data=form(*contents.items()), headers=HEADERS) as answer:
            assert answer.status == 200
            kept = await answer.json()
        async with session.post(house.url, data=poured(TEMPORARY_FILE_BYTES), headers=HEADERS) as answer:
            assert answer.status == 200
            [large] = await answer.json()
    keys, documents = await house.left()
    assert len(keys) == len(documents) == 4
    stored = {document["_id"]: document for document in documents}
    assert await house.blobs.head(stored[large["attachmentId"]]["key"]) == TEMPORARY_FILE_BYTES
    for one, content in zip(kept, contents.values(), strict=True):
        assert await house.blobs.get(stored[one["attachmentId"]]["key"]) == content


async def test_a_client_that_goes_at_any_byte_leaves_nothing(house: House) -> None:
    content = form(("a.pdf", PDF + bytes(300_000)), ("b.png", corpus.image("PNG")))
    start = (
        f"POST /attachments/temporary HTTP/1.1\r\nHost: x\r\nx-api-key: key-of-acme\r\nContent-Type: {FORM_TYPE}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode()
    tail = len(content) - 600  # within which every byte is tried: the second file, its end and the end of the form
    for at in (*range(0, tail, 20_000), *range(tail, len(content), 7), len(content) - 1):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(start + content[:at])
        await writer.drain()
        writer.close()
        await reader.read()

    async def all_done() -> None:
        assert house.stand.gateway.uploads.in_hand == 0

    await eventually(all_done)
    assert await house.left() == ([], [])


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_that_is_too_large_is_refused_while_it_comes(house: House, announced: bool) -> None:
    size = TEMPORARY_FILE_BYTES + 1
    length = {"content-length": str(sum(map(len, long_form(size))))} if announced else {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(house.url, data=poured(size), headers=HEADERS | length) as answer,
    ):
        assert answer.status == 413
        assert (await answer.json())["errors"][0]["field"] == "/files/0"
    assert await house.left() == ([], [])


def upload(identity: str, **given: Any) -> UploadDocument:
    document = UploadDocument(
        _id=identity, tenant="acme", type="CV", filename="a.pdf", size=10, createdAt=NOW, claimedBy=None,
        expiresAt=NOW + timedelta(hours=24), keepUntil=NOW + timedelta(hours=24),
    )  # fmt: skip
    document.update(given)  # type: ignore[typeddict-item]
    return document


async def test_only_what_is_alive_is_found_and_counted(database: Database) -> None:
    uploads, later = MongoUploads({"live": database}), NOW + timedelta(hours=24)
    await uploads.insert(
        "live",
        [
            upload("u1"),
            upload("u2", keepUntil=later + timedelta(hours=1), size=20),
            upload("u3", endedAt=NOW, end="assigned"),
            upload("u4", tenant="other"),
        ],
    )
    usage = await uploads.usage("live", "acme", NOW)
    assert (usage.files, usage.bytes, usage.next_end) == (2, 30, later)
    usage = await uploads.usage("live", "acme", later)
    assert (usage.files, usage.bytes) == (1, 20)
    assert (await uploads.usage("live", "nobody", NOW)).files == 0
    assert await uploads.find("live", "acme", "u1", NOW) is not None
    assert await uploads.find("live", "acme", "u1", later) is None
    assert await uploads.find("live", "acme", "u2", later) is not None
    assert await uploads.find("live", "acme", "u3", NOW) is None
    assert await uploads.find("live", "acme", "u4", NOW) is None
    await uploads.forget("live", ["u1", "u2", "u9"])
    assert (await uploads.usage("live", "acme", NOW)).files == 0
