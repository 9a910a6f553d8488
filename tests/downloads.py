"""The fetcher's downloader as tests use it: names lead to loopback, and no pause between tries."""

import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from deploy.lab.raw import OK, open_source, sends
from services.fetcher.downloader import HttpDownloader
from services.fetcher.handler import Downloaded
from shared.addresses import EgressPolicy
from shared.dialler import Lookup
from shared.egress import open_egress_client
from shared.errors import OUTCOME_CODES
from shared.events import FileError
from tests.sources import everything_here

HERE = EgressPolicy(EgressPolicy.from_settings(["127.0.0.1/32"]).networks, frozenset())
FILE = b"%PDF-1.7 a small file"
WHOLE = sends(OK, b"Content-Type: Application/PDF; x=y\r\nContent-Length: %d\r\n\r\n" % len(FILE), FILE)


@asynccontextmanager
async def downloading(
    resolver: Lookup = everything_here, tls: ssl.SSLContext | None = None, **given: Any
) -> AsyncIterator[HttpDownloader]:
    """A downloader with these settings."""
    settings: dict[str, Any] = {"pauses": (0.0, 0.0)} | given
    async with open_egress_client(HERE, user_agent="t", resolver=resolver, connect_seconds=1.0, tls=tls) as client:
        yield HttpDownloader(client, HERE, **settings)


def content(found: Downloaded | FileError) -> bytes:
    """The bytes of a file that arrived."""
    assert isinstance(found, Downloaded), found
    body = found.body if isinstance(found.body, bytes) else found.body.read()
    found.close()
    assert (found.size, found.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    return body


async def outcome(answer: Callable[..., Any], path: str = "/file", **given: Any) -> tuple[str, int]:
    """The code of a failed download, and how many requests were made."""
    async with open_source(answer) as source, downloading(**given) as downloader:
        found = await downloader.download(source.url(path))
        assert isinstance(found, FileError)
        assert found.message == OUTCOME_CODES[found.code].advice
        return found.code, len(source.requests)
