"""The one address that the services of `hostile_urls` may dial: it redirects to hostile places, and is rude itself."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from deploy.demo.samples import UNIQUE_BYTES, padded_pdf
from shared import limits
from tests.sources import Source, open_source

ORIGIN: Final = "127.77.0.1"
PUBLIC_PORTS: Final = (8443, 8080)  # that the gateway lets through, and no privilege is needed for
UNREACHABLE: Final = "source_unreachable"


def answered(status: bytes, body: bytes = b"", *headers: bytes) -> bytes:
    """A whole answer; one of these headers may say another length."""
    length = (
        () if any(header.startswith(b"Content-Length") for header in headers) else (b"Content-Length: %d" % len(body),)
    )
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Connection: close", *length, *headers, b"", body])


def good_file() -> bytes:
    """A PDF."""
    head, tail = padded_pdf(4096)
    return head + b"-" * UNIQUE_BYTES + tail


PDF: Final = b"Content-Type: application/pdf"
LOGIN: Final = b"<!DOCTYPE html><html><body><form>Sign in</form></body></html>"
# What a rude origin answers, and the code of it; as a receiver, each is a failed attempt.
RUDE: Final[dict[str, tuple[bytes, str]]] = {
    "/login": (answered(b"200 OK", LOGIN, PDF), "content_type_mismatch"),
    "/half": (answered(b"200 OK", b"%PDF-1.7", PDF, b"Content-Length: 5000"), "source_incomplete"),
    "/bomb": (answered(b"200 OK", gzip.compress(b"\0" * 20 * limits.MIB), b"Content-Encoding: gzip"), "source_error"),
    "/circle": (answered(b"302 X", b"", b"Location: /circle"), "too_many_redirects"),
    "/hints": (b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" * 50_000, UNREACHABLE),
    "/noise": (b"SSH-2.0-nothing\r\n", UNREACHABLE),
    "/nothing": (b"", UNREACHABLE),
}


@asynccontextmanager
async def leading_to(targets: list[str]) -> AsyncIterator[Source]:
    """The origin: redirects under /to/, a good file, rude answers, a receiver; on a port that the gateway permits."""
    known = {f"/to/{n}": answered(b"302 X", b"", b"Location: " + url.encode()) for n, url in enumerate(targets)}
    known |= {path: answer for path, (answer, _) in RUDE.items()}
    known |= {"/good": answered(b"200 OK", good_file(), PDF), "/hook": answered(b"200 OK", b"thanks")}

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(known.get(path, answered(b"404 X")))

    for port in PUBLIC_PORTS:
        try:
            async with open_source(answer, at=ORIGIN, port=port) as source:
                yield source
                return
        except OSError:
            continue
    raise OSError(f"none of {PUBLIC_PORTS} is free at {ORIGIN}")
