"""Bytes to the gateway of a running stack and what comes back, below any HTTP client."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.e2e.client import Json

CLOSED_WITHIN = 15.0  # seconds: the promise to all who are slow or odd
BODY = b'{"firstName":"Raw"}'


@dataclass(frozen=True, slots=True)
class Heard:
    """All that came until the connection closed."""

    content: bytes

    @property
    def statuses(self) -> list[int]:
        """Of every answer, in order."""
        return [int(part[2:5]) for part in self.content.split(b"HTTP/1.")[1:]]


class Wire:
    """Connections to the gateway."""

    def __init__(self, handle: Json) -> None:
        address = urlsplit(handle["http"])
        self.host, self.port = address.hostname or "", address.port or 0
        self.key = str(handle["tenants"]["demo"]["apiKey"]).encode()

    def head(self, path: str = "/candidates", key: str = "", method: str = "POST", version: str = "1.1") -> bytes:
        """The beginning of a write under this idempotency key; more headers may follow."""
        line = f"{method} {path} HTTP/{version}\r\nHost: gateway\r\nContent-Type: application/json\r\n".encode()
        return line + b"x-api-key: " + self.key + b"\r\n" + (f"Idempotency-Key: {key}\r\n".encode() if key else b"")

    async def say(self, content: bytes) -> Heard:
        """What comes until the connection closes; raises TimeoutError when that is not in time."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            return await heard(reader, writer, content)
        finally:
            writer.close()


async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes = b"") -> Heard:
    """Say this, and listen until the connection closes; raises TimeoutError when that is not in time."""
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(CLOSED_WITHIN):
            writer.write(content)
            while piece := await reader.read(65536):
                pieces.append(piece)
    except ConnectionError:
        pass  # closed with a reset, because we had said more than was wanted
    return Heard(b"".join(pieces))
