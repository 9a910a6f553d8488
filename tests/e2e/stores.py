"""Looks into the stores of a running stack, behind the back of the services."""

from collections.abc import Iterable
from typing import Any

from pydantic import SecretStr

from shared import ledger
from shared.blobs import open_blobs
from shared.settings import EngineSettings


def settings_of(handle: dict[str, Any]) -> EngineSettings:
    """As the services of this stack have them, as far as the stores are concerned."""
    objects = handle["s3"]
    return EngineSettings(
        mongodb_uri=handle["mongodb"],
        s3_endpoint=objects["endpoint"],
        s3_bucket=objects["bucket"],
        s3_access_key=SecretStr(objects["accessKey"]),
        s3_secret_key=SecretStr(objects["secretKey"]),
    )


async def objects_of(handle: dict[str, Any], tenant: str, attachments: Iterable[str]) -> dict[str, list[str]]:
    """The digests in the keys of the objects of each of these attachments, by attachment id."""
    found: dict[str, list[str]] = {attachment: [] for attachment in attachments}
    async with open_blobs(settings_of(handle)) as blobs:
        async for key, _size, _modified in blobs.list(f"records/live/{tenant}/"):
            attachment, digest = key.split("/")[3:]
            if attachment in found:
                found[attachment].append(digest)
    return found


async def documents_of(handle: dict[str, Any], tenant: str, candidates: Iterable[str]) -> dict[str, list[str]]:
    """The digests of the live attachment documents of these candidates, by attachment id."""
    owners = [f"{tenant}/candidate/{candidate}" for candidate in candidates]
    query = {"owners": {"$elemMatch": {"record": {"$in": owners}, "removedAt": None}}, "removedAt": None}
    found: dict[str, list[str]] = {}
    async with ledger.open_client(handle["mongodb"]) as client:
        async for document in ledger.databases(client)["live"].attachments.find(query, {"sha256": 1}):
            found.setdefault(document["_id"], []).append(document["sha256"])
    return found
