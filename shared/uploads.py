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
    """Whether the time of an upload has not come, as an expression; `$max` leaves out what is not set.

    Not part of a filter: where a filter has an `$or` or `$expr` beside the `_id`, SecantusDB reads all uploads.
    """
    return {"$lt": [now, {"$max": ["$expiresAt", "$keepUntil"]}]}


INDEXES: Final = [
    IndexModel([("tenant", ASCENDING), ("endedAt", ASCENDING)], name="tenant"),  # the quota
    IndexModel([("endedAt", ASCENDING), ("expiresAt", ASCENDING)], name="due"),
    IndexModel([("expireAt", ASCENDING)], name="expiry", expireAfterSeconds=0),
]
