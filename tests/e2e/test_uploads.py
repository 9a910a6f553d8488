"""Large temporary uploads through a real gateway: whole, in little memory, and nothing is left of what breaks off."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from shared import ledger
from shared.blobs import open_blobs
from shared.limits import MIB, TEMPORARY_FILE_BYTES
from tests import corpus
from tests.e2e.client import Client, Json
from tests.e2e.stores import settings_of
from tests.e2e.test_kill import processes
from tests.forms import FORM_TYPE, form, head
from tests.retry import eventually

pytestmark = pytest.mark.any_broker

CLIENTS = 16
GROWTH_BYTES = 150 * 1000 * 1000
PATH = "/attachments/temporary"
# A spool of each of these is read by another part of the judge.
BEGINNINGS = (corpus.pdf(), corpus.ole("WordDocument", "1Table"), corpus.svg("<!-- ")[:-6], corpus.image("PNG"))


def memory(process: int, name: str) -> int:
    """VmRSS or VmHWM in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def forget_peak(process: int) -> None:
    """From now on VmHWM counts anew."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def pieces(number: int) -> Iterator[bytes]:
    """A file of the most bytes that are taken, another one for each number."""
    beginning = BEGINNINGS[number % len(BEGINNINGS)]
    filling = (b"%02d" % number) * (MIB // 2)
    yield beginning
    left = TEMPORARY_FILE_BYTES - len(beginning)
    yield from (filling for _ in range(left // MIB))
    yield filling[: left % MIB]


async def sent(number: int) -> AsyncIterator[bytes]:
    yield head(f"{number}.bin")
    for piece in pieces(number):
        yield piece
    yield b"\r\n" + form()


async def staged(client: Client) -> set[str]:
    """The keys under which uploads are."""
    async with open_blobs(settings_of(client.handle)) as blobs:
        return {key async for key, _, _ in blobs.list("staging/live/uploads/")}


async def forget(client: Client, ids: list[str]) -> None:
    """Give the room back."""
    async with open_blobs(settings_of(client.handle)) as blobs, ledger.open_client(client.handle["mongodb"]) as mongo:
        await ledger.databases(mongo)["live"].uploads.delete_many({"_id": {"$in": ids}})
        await blobs.delete([key for key in await staged(client) if key.split("/")[3] in ids])


async def upload(client: Client, body: object) -> tuple[int, list[dict[str, object]]]:
    headers = {"x-api-key": client.key, "content-type": FORM_TYPE}
    url, patience = client.handle["http"] + PATH, aiohttp.ClientTimeout(total=200)
    async with client.session.post(url, data=body, headers=headers, timeout=patience) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.timeout(300)
async def test_sixteen_clients_with_the_largest_files_hardly_need_memory(client: Client) -> None:
    process = processes(client.handle)["ingest"]
    before = memory(process, "VmRSS")
    forget_peak(process)
    answers = await asyncio.gather(*(upload(client, sent(number)) for number in range(CLIENTS)))
    growth = memory(process, "VmHWM") - before
    assert [status for status, _ in answers] == [200] * CLIENTS
    print(f"ingest grew by {growth / 1e6:.0f} MB")
    assert processes(client.handle)["ingest"] == process
    try:
        assert growth < GROWTH_BYTES
        assert [one["extension"] for _, [one] in answers] == ["pdf", "doc", "svg", "png"] * (CLIENTS // 4)
        for number, (_, [one]) in list(enumerate(answers))[::5]:
            digest = hashlib.sha256()
            for piece in pieces(number):
                digest.update(piece)
            content, headers = await client.download(str(one["attachmentId"]))
            assert hashlib.sha256(content).digest() == digest.digest()
            assert headers["content-disposition"].startswith("attachment")
    finally:
        await forget(client, [str(one["attachmentId"]) for _, [one] in answers])


async def break_off(client: Client, body: bytes, at: int) -> None:
    """Send so many bytes of a form, and go."""
    address = urlsplit(client.handle["http"])
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    start = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nx-api-key: {client.key}\r\nContent-Type: {FORM_TYPE}\r\n"
    writer.write(start.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:at])
    await writer.drain()
    writer.close()


async def test_clients_that_break_off_leave_no_object(client: Client) -> None:
    kept = await staged(client)
    picture = corpus.image("PNG")
    body = form(("a.pdf", corpus.pdf() + bytes(3 * MIB)), ("b.png", picture), ("c.png", picture))
    tail = len(body) - 2 * len(picture) - 500
    places = [*range(0, tail, len(body) // 20), *range(tail, len(body), 17), len(body) - 1]
    await asyncio.gather(*(break_off(client, body, at) for at in places))

    # Whoever comes after them finds all of them gone: a whole upload is answered, and its object is the only new one.
    async def taken() -> list[Json]:
        status, documents = await upload(client, body)
        assert status == 200  # 503 while those who have gone still hold this tenant's places
        return documents

    ids = {str(one["attachmentId"]) for one in await eventually(taken)}

    async def settled() -> None:
        assert {key.split("/")[3] for key in await staged(client) - kept} == ids

    await eventually(settled)
    await forget(client, list(ids))
