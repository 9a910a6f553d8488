"""Database and store over TLS, with an authority of our own; whom it did not sign is not talked to."""

from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from deploy.admin.bucket import create_bucket
from shared.blobs import open_blobs
from shared.errors import DependencyUnavailable
from shared.ledger import connect, open_database
from shared.settings import EngineSettings
from shared.tls import trusting
from tests.stacks import Handle
from tests.tls import Authority, tls_in_front_of


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(params=["another authority", "the system's authorities", "another address"])
def distrusted(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> tuple[Path, Path | None]:
    """(certificate of the server, authority of the client) that don't go together."""
    stranger = Authority(tmp_path, "stranger")
    return {
        "another authority": (authority.issue(), stranger.ca_file),
        "the system's authorities": (authority.issue(), None),
        "another address": (authority.issue("127.0.0.9"), authority.ca_file),
    }[request.param]


async def test_the_database_is_reached_over_tls(servers: Handle, authority: Authority) -> None:
    async with tls_in_front_of(urlsplit(servers["mongodb"]).port or 0, authority.issue()) as port:
        settings = EngineSettings(
            mongodb_uri=f"mongodb://127.0.0.1:{port}/?directConnection=true", mongodb_ca_file=authority.ca_file
        )
        async with connect(settings) as client:
            names = open_database(client, "engine").secured
            await names.insert_one({"_id": "over tls"})
            assert await names.find_one({"_id": "over tls"}) == {"_id": "over tls"}
            await names.drop()


async def test_a_database_with_another_certificate_is_not_talked_to(
    servers: Handle, distrusted: tuple[Path, Path | None]
) -> None:
    certificate, ca_file = distrusted
    async with tls_in_front_of(urlsplit(servers["mongodb"]).port or 0, certificate) as port:
        uri = f"mongodb://127.0.0.1:{port}/?directConnection=true&tls=true"
        async with connect(EngineSettings(mongodb_uri=uri, mongodb_ca_file=ca_file), 2.0) as client:
            with pytest.raises(Exception, match="certificate verify failed"):
                await client.admin.command("hello")


def store(servers: Handle, port: int, ca_file: Path | None) -> EngineSettings:
    return EngineSettings(
        s3_endpoint=f"https://127.0.0.1:{port}",
        s3_ca_file=ca_file,
        s3_bucket=servers["s3"]["bucket"],
        s3_access_key=servers["s3"]["accessKey"],
        s3_secret_key=servers["s3"]["secretKey"],
    )


async def test_the_store_is_reached_over_tls_by_every_kind_of_request(servers: Handle, authority: Authority) -> None:
    async with tls_in_front_of(urlsplit(servers["s3"]["endpoint"]).port or 0, authority.issue()) as port:
        settings = store(servers, port, authority.ca_file)
        await create_bucket(settings, 5)
        async with open_blobs(settings) as blobs, aiohttp.ClientSession() as browser:
            await blobs.put("secured/one", b"content", 7)
            assert await blobs.get("secured/one") == b"content"
            assert [key async for key, _, _ in blobs.list("secured/")] == ["secured/one"]
            url = await blobs.presign_get("secured/one", 60, "one.txt", "text/plain")
            async with browser.get(url, ssl=trusting(authority.ca_file)) as answer:
                assert (answer.status, await answer.read()) == (200, b"content")
            await blobs.delete(["secured/one"])


async def test_a_store_with_another_certificate_is_not_talked_to(
    servers: Handle, distrusted: tuple[Path, Path | None]
) -> None:
    certificate, ca_file = distrusted
    async with (
        tls_in_front_of(urlsplit(servers["s3"]["endpoint"]).port or 0, certificate) as port,
        open_blobs(store(servers, port, ca_file)) as blobs,
    ):
        with pytest.raises(DependencyUnavailable):
            await blobs.put("secured/two", b"content", 7)
        with pytest.raises(DependencyUnavailable):
            await blobs.delete(["secured/two", "secured/three"])
