"""The object store: an adapter over S3. Only DependencyUnavailable and BlobMissing leave it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from multidict import CIMultiDict

from shared.dependencies import DEPENDENCIES
from shared.errors import BlobMissing, DependencyUnavailable
from shared.filenames import content_disposition
from shared.limits import MIB
from shared.s3_requests import ATTEMPTS, SERVICE, Answer, SignedRequests, open_session, quoted
from shared.settings import EngineSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

__all__ = ["BlobMissing", "S3Blobs", "open_blobs"]

CONNECTIONS: Final = 64
STREAM_CHUNK_BYTES: Final = 1 * MIB
DELETE_BATCH: Final = 1000  # the protocol's limit for one DeleteObjects
EXISTS: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


class S3Blobs:
    """One bucket; sizes in bytes. Single objects go over signed requests, everything else over the client."""

    def __init__(self, client: "S3Client", requests: SignedRequests, bucket: str, region: str, public_url: str) -> None:
        self._client = client
        self._requests = requests
        self._bucket = bucket
        self._region = region
        self._public_url = public_url

    async def ensure_bucket(self) -> None:
        """Create the bucket unless it is there; safe to repeat and to run twice at once."""
        # us-east-1 is the one region that must not be named (S3 API reference, CreateBucket).
        place = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
        wanted: Any = {"Bucket": self._bucket} | ({"CreateBucketConfiguration": place} if place else {})
        with _translated(ignored=EXISTS):
            await self._client.create_bucket(**wanted)

    async def put(self, key: str, body: bytes | BinaryIO, size: int, content_type: str | None = None) -> None:
        """Store a body of exactly `size` bytes in one request, a file whole; the same key again overwrites.

        A file is one of the operating system, flushed; where it stands does not matter. Raises ValueError for another
        size.
        """
        headers = {"Content-Type": content_type} if content_type else {}
        _expect(await self._requests.send("PUT", key, headers, body, size), 200)

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of a range, fewer at the end of the object and none behind it; raises BlobMissing."""
        if length == 0:
            return b""
        whole = start == 0 and length is None
        last = "" if length is None else str(start + length - 1)
        answer = await self._requests.send("GET", key, {} if whole else {"Range": f"bytes={start}-{last}"})
        if answer.code == "InvalidRange":
            return b""
        _expect(answer, 200, 206, key=key)
        # A store may ignore the range and send everything (RFC 9110, 14.2).
        return answer.content if whole or answer.status == 206 else answer.content[start:][:length]

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The whole object in pieces of 1 MiB, each a request of its own, so a slow reader holds no connection."""
        start = 0
        while piece := await self.get(key, start, STREAM_CHUNK_BYTES):
            yield piece
            start += len(piece)
            if len(piece) < STREAM_CHUNK_BYTES:
                return

    async def copy(self, source: str, target: str) -> None:
        """Copy inside the bucket, by the store itself; raises BlobMissing when there is no source."""
        answer = await self._requests.send("PUT", target, {"x-amz-copy-source": f"/{self._bucket}/{quoted(source)}"})
        if answer.status == 200 and answer.code:  # CopyObject may fail behind a 200 (S3 API reference)
            raise _unable(answer.code)
        _expect(answer, 200, key=source)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete what is there of these; a missing one is no error."""
        if len(keys) == 1:
            _expect(await self._requests.send("DELETE", keys[0]), 200, 204)
            return
        for offset in range(0, len(keys), DELETE_BATCH):
            batch = keys[offset : offset + DELETE_BATCH]
            with _translated():
                answer = await self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                )
            if failures := answer.get("Errors"):
                raise _unable(failures[0].get("Code", "DeleteObjects"))

    async def head(self, key: str) -> int | None:
        """The object's size, or None when there is none."""
        answer = await self._requests.send("HEAD", key)
        if answer.status == 404:
            return None
        _expect(answer, 200)
        return int(CIMultiDict(answer.headers)["Content-Length"])

    async def list(self, prefix: str) -> AsyncIterator[tuple[str, int, datetime]]:
        """(key, size, time of the last write) of every object under a prefix, in the order of keys."""
        with _translated():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            async for page in pages:
                for entry in page.get("Contents", ()):
                    yield entry["Key"], entry["Size"], entry["LastModified"].astimezone(UTC)

    async def presign_get(self, key: str, seconds: int, filename: str, content_type: str) -> str:
        """A download URL on the public endpoint: always an attachment, always of the type that was judged."""
        return self._requests.presigned_get(
            self._public_url,
            key,
            seconds,
            {
                "response-content-disposition": content_disposition(filename),
                "response-content-type": content_type,
                "response-cache-control": "no-store",
            },
        )


@asynccontextmanager
async def open_blobs(settings: EngineSettings, connections: int = CONNECTIONS) -> AsyncIterator[S3Blobs]:
    """The store that the settings name, with at most so many connections; connects at the first request."""
    access, secret = settings.s3_access_key.get_secret_value(), settings.s3_secret_key.get_secret_value()
    if not (access and secret):  # without them botocore would go looking on the network
        raise ValueError("ENGINE_S3_ACCESS_KEY and ENGINE_S3_SECRET_KEY must be set")
    config = AioConfig(
        connect_timeout=3,
        read_timeout=20,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        proxies={},
        s3={"addressing_style": "path"},
    )
    endpoint, public = (
        f"{url.rstrip('/')}/{settings.s3_bucket}"
        for url in (settings.s3_endpoint, settings.s3_public_endpoint or settings.s3_endpoint)
    )
    async with (
        get_session().create_client(
            "s3",
            region_name=settings.s3_region,
            endpoint_url=settings.s3_endpoint,
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=config,
            verify=authority(settings),
        ) as client,
        open_session(connections, settings.s3_ca_file) as session,
    ):
        requests = SignedRequests(session, Credentials(access, secret), settings.s3_region, endpoint)
        yield S3Blobs(client, requests, settings.s3_bucket, settings.s3_region, public)


def authority(settings: EngineSettings) -> str | None:
    """What botocore shall trust; None: what it trusts by itself."""
    return str(settings.s3_ca_file) if settings.s3_ca_file else None


def _expect(answer: Answer, *statuses: int, key: str | None = None) -> None:
    """Raise BlobMissing for a missing key, DependencyUnavailable for everything else that was not expected."""
    if answer.status in statuses:
        return
    if key is not None and answer.code in {"NoSuchKey", "InvalidCopySource"}:
        raise BlobMissing(key)
    raise _unable(answer.code or str(answer.status))


def _unable(reason: str) -> DependencyUnavailable:
    """It answered that it can't, or may not, do its work (full, keys withdrawn): no restart of ours would mend that."""
    DEPENDENCIES.failed(SERVICE)
    return DependencyUnavailable(SERVICE, reason)


@contextmanager
def _translated(ignored: frozenset[str] = frozenset()) -> Iterator[None]:
    """Foreign exceptions die here; those with an ignored S3 error code altogether."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ignored:
            return
        raise _unable(error.response["Error"]["Code"]) from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:
        raise _unable(type(error).__name__) from error
    DEPENDENCIES.answered(SERVICE)
