"""The object store: reachable, in time, the bucket there, and what services do in it permitted."""

import asyncio
import uuid
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from deploy.admin.checks.finding import Finding
from deploy.admin.checks.mongodb import clock
from shared.blobs import S3Blobs, open_blobs
from shared.errors import BlobMissing, DependencyUnavailable
from shared.s3_requests import open_session
from shared.settings import EngineSettings

CREDENTIALS: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "AccessDenied", "403"}
)
TIME_OUT: Final = aiohttp.ClientTimeout(total=5)
USE_SECONDS: Final = 15.0  # for all that is tried


async def look(settings: EngineSettings) -> list[Finding]:
    """Everything that is wrong with it; leaves nothing behind."""
    if not (settings.s3_access_key.get_secret_value() and settings.s3_secret_key.get_secret_value()):
        wrong = "ENGINE_S3_ACCESS_KEY and ENGINE_S3_SECRET_KEY are not both set."
        return [Finding("s3_keys_unset", wrong, "Set them, or name files with them: ENGINE_S3_ACCESS_KEY_FILE …")]
    try:
        found = await _clock(settings)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        wrong = f"The object store at {settings.s3_endpoint} can't be reached ({type(error).__name__})."
        return [Finding("s3_away", wrong, "Start it, or correct ENGINE_S3_ENDPOINT; look at firewalls in between.")]
    try:
        async with asyncio.timeout(USE_SECONDS), open_blobs(settings, connections=1) as blobs:
            return found + await _use(blobs, settings)
    except TimeoutError:
        return [*found, _refused("work", f"no answer within {USE_SECONDS:.0f} s", settings)]


async def _clock(settings: EngineSettings) -> list[Finding]:
    """By the Date of whatever it answers to a stranger."""
    async with (
        open_session(1, settings.s3_ca_file) as session,
        session.get(settings.s3_endpoint, timeout=TIME_OUT, allow_redirects=False) as answer,
    ):
        told = answer.headers.get("Date")
        return clock("the object store", parsedate_to_datetime(told) if told else None, datetime.now(UTC))


async def _use(blobs: S3Blobs, settings: EngineSettings) -> list[Finding]:
    """Do what the services do, step by step, with an object of no meaning. The sweeper would remove what is left."""
    key, doing = f"staging/doctor/{uuid.uuid4()}", "list"
    try:
        async for _ in blobs.list("staging/doctor/"):
            break
        doing = "put"
        await blobs.put(key, b"doctor", 6)
        doing = "get"
        await blobs.get(key)
        doing = "copy"
        await blobs.copy(key, f"{key}-copy")
        doing = "delete"
        await blobs.delete([key, f"{key}-copy"])
    except (DependencyUnavailable, BlobMissing) as error:
        return [_refused(doing, str(error).rpartition(": ")[2], settings)]
    return []


def _refused(doing: str, code: str, settings: EngineSettings) -> Finding:
    if code == "NoSuchBucket":
        wrong = f"There is no bucket {settings.s3_bucket}."
        return Finding("s3_bucket_missing", wrong, "Correct ENGINE_S3_BUCKET, or make it: mutation-engine init")
    if code == "RequestTimeTooSkewed":
        wrong = "The object store refuses our clock: it differs too much from its own."
        return Finding("clock", wrong, "Let NTP set both.")
    if code in CREDENTIALS:
        wrong = f"The object store does not let us {doing} in {settings.s3_bucket} ({code})."
        todo = (
            "Correct ENGINE_S3_ACCESS_KEY and ENGINE_S3_SECRET_KEY, or permit list, get, put and delete to that user."
        )
        return Finding("s3_denied", wrong, todo)
    wrong = f"The object store failed to {doing} in {settings.s3_bucket} ({code})."
    return Finding("s3_failed", wrong, "Look at its log: is it full, read-only, or short of nodes?")
