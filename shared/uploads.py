"""Temporary uploads, as ingest and storage agree on them: the shape of documents, when one is alive, indexes."""

from datetime import datetime
from typing import Any, Final, TypedDict

from pymongo import ASCENDING, IndexModel


class UploadDocument(TypedDict, total=False):
    """A document of `uploads`. Times are UTC; at the end what describes the file is unset, the rest is a tombstone."""

    _id: str  # UUIDv7; becomes the attachment id
    tenant: str
    type: str
    filename: str
    extension: str
    contentType: str  # as judged
    match: str
    size: int
    sha256: str
    key: str  # staging/<environment>/uploads/<id>/<random>
    createdAt: datetime
    expiresAt: datetime
    keepUntil: datetime  # an assign under way puts the end off; never before expiresAt
    claimedBy: str | None  # mutation id
    endedAt: datetime
    end: str  # assigned, expired
    expireAt: datetime  # TTL, of the tombstone


def alive(now: datetime) -> dict[str, Any]:
    """The filter of uploads that have not ended and whose time has not come."""
    return {"endedAt": None, "$or": [{"expiresAt": {"$gt": now}}, {"keepUntil": {"$gt": now}}]}


INDEXES: Final = [
    IndexModel([("tenant", ASCENDING), ("endedAt", ASCENDING)], name="tenant"),  # the quota
    IndexModel([("endedAt", ASCENDING), ("expiresAt", ASCENDING)], name="due"),
    IndexModel([("expireAt", ASCENDING)], name="expiry", expireAfterSeconds=0),
]
