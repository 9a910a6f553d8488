"""Single object requests to an S3 store: signed by botocore, sent by aiohttp (a third of the CPU of a whole client)."""

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

import aiohttp
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from yarl import URL

from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.limits import KIB
from shared.tls import trusting

ATTEMPTS: Final = 3
FIRST_PAUSE_SECONDS: Final = 0.1
TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=3, sock_read=20)
TRANSIENT: Final = frozenset({429, 500, 502, 503, 504})
CHUNK_BYTES: Final = 128 * KIB
SENT_WHOLE_BYTES: Final = 512 * KIB  # larger bodies go in chunks, so that the loop is never held for long
# The payload stays unsigned (TLS guards it where a network is in between): its SHA-256 would be half of the cost.
UNSIGNED_PAYLOAD: Final = Config(s3={"payload_signing_enabled": False})
SERVICE: Final = "s3"
Payload = tuple[bytes | AsyncIterator[bytes], int | None]  # what is sent, and its length where aiohttp can't know it
_CODE: Final = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store answered; `code` is the S3 error code, empty when there is none."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def code(self) -> str:
        found = _CODE.search(self.content[: 4 * KIB])
        return found[1].decode() if found else ""


def open_session(connections: int, ca_file: Path | None = None) -> aiohttp.ClientSession:
    """A pooled session without cookies, proxies from the environment, or decoding of what is stored."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ssl=trusting(ca_file) if ca_file else True),
        timeout=TIMEOUT,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )


def quoted(key: str) -> str:
    """A key as it stands in a path and in its signature."""
    return quote(key, safe="/~")


class SignedRequests:
    """Requests to one bucket; each may be repeated (the same bytes under the same key), so transient failures are."""

    def __init__(self, session: aiohttp.ClientSession, credentials: Credentials, region: str, bucket_url: str) -> None:
        self._session = session
        self._credentials = credentials
        self._region = region
        self._bucket_url = bucket_url
        self._auth = S3SigV4Auth(credentials, SERVICE, region)

    async def send(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | BinaryIO = b"",
        size: int = 0,
    ) -> Answer:
        """The answer, unless its status is a transient one; a file goes whole, wherever it stands.

        Raises DependencyUnavailable after the last attempt, ValueError when the body has not `size` bytes: announcing
        another length, we would wait for a store that waits for us, and take it for absent.
        """
        if (found := _length(body)) != size:
            raise ValueError(f"a body of {found} bytes was announced as one of {size}")
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 4 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                answer = await self._attempt(method, key, dict(headers or {}), _payload(body, size))
            except (aiohttp.ClientError, OSError) as error:
                DEPENDENCIES.failed(SERVICE)
                reason = type(error).__name__
                continue
            if answer.status not in TRANSIENT:
                DEPENDENCIES.answered(SERVICE)
                return answer
            DEPENDENCIES.failed(SERVICE)
            reason = answer.code or str(answer.status)
        raise DependencyUnavailable(SERVICE, reason)

    async def _attempt(self, method: str, key: str, headers: dict[str, str], payload: Payload) -> Answer:
        request = AWSRequest(method, f"{self._bucket_url}/{quoted(key)}", headers=headers)
        request.context["client_config"] = UNSIGNED_PAYLOAD
        self._auth.add_auth(request)
        content, length = payload
        signed = dict(request.headers) | ({} if length is None else {"Content-Length": str(length)})
        url = URL(str(request.url), encoded=True)
        async with self._session.request(method, url, headers=signed, data=content, allow_redirects=False) as response:
            return Answer(response.status, response.headers, await response.read())

    def presigned_get(self, bucket_url: str, key: str, seconds: int, parameters: Mapping[str, str]) -> str:
        """A URL that anyone may GET for so many seconds; signs the host in `bucket_url`."""
        request = AWSRequest("GET", f"{bucket_url}/{quoted(key)}", params=dict(parameters))
        S3SigV4QueryAuth(self._credentials, SERVICE, self._region, expires=seconds).add_auth(request)
        return str(request.url)


def _length(body: bytes | BinaryIO) -> int:
    return len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size


def _payload(body: bytes | BinaryIO, size: int) -> Payload:
    """Bytes to send whole, or chunks of known total length."""
    if not isinstance(body, bytes):
        return _reads(body), size
    return (body, None) if size <= SENT_WHOLE_BYTES else (_slices(body), size)


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    for offset in range(0, len(body), CHUNK_BYTES):
        yield body[offset : offset + CHUNK_BYTES]


async def _reads(body: BinaryIO) -> AsyncIterator[bytes]:
    """By offset and not by where the file stands: a read of a broken attempt may still be under way in its thread."""
    offset = 0
    while chunk := await asyncio.to_thread(os.pread, body.fileno(), CHUNK_BYTES, offset):
        yield chunk
        offset += len(chunk)
