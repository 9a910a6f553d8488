"""Documents and events as the services would make them, with defaults that a test overrides where it matters."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils

from shared.events import MutationFetched, Place

TEXT = b"a plain text, long enough to be told from nothing\n"


def new_id() -> str:
    """A UUIDv7, as ingest gives them."""
    return str(uuid_utils.uuid7())


def mutation(kind: str = "create", record: str | None = None, sequence: int = 1, **given: Any) -> dict[str, Any]:
    """A ledger document of an accepted mutation of the tenant `demo`; `record` is a record id."""
    record_id = record or new_id()
    now = datetime.now(UTC)
    return {
        "_id": new_id(),
        "tenant": "demo",
        "key": new_id(),
        "fingerprint": "0" * 64,
        "kind": kind,
        "record": {"type": "candidate", "id": record_id},
        "places": [{"record": f"demo/candidate/{record_id}", "sequence": sequence}],
        "fields": {"firstName": "Test"} if kind == "create" else {},
        "files": {},
        "status": "accepted",
        "lane": "waiting",
        "owed": False,
        "tries": 0,
        "traceparent": f"00-{'1' * 32}-{'2' * 16}-01",
        "createdAt": now,
        "deadline": now + timedelta(days=1),
    } | given


def inline(content: bytes = TEXT, filename: str = "note.txt") -> dict[str, Any]:
    """A file that came as base64."""
    text = base64.b64encode(content)
    return {"field": "otherAttachments", "filename": filename, "declaredType": None, "data": text}


def by_url(filename: str = "note.txt") -> dict[str, Any]:
    """A file that the fetcher has to download."""
    return {"field": "otherAttachments", "filename": filename, "declaredType": None, "url": "https://files.test/note"}


def fetched(document: dict[str, Any], **files: Any) -> MutationFetched:
    """The event that brings a mutation to storage; `files` by attachment id."""
    return MutationFetched(
        mutation_id=document["_id"],
        tenant=document["tenant"],
        environment="live",
        kind=document["kind"],
        places=tuple(Place(**place) for place in document["places"]),
        files=files,
        deadline=document["deadline"],
    )


def upload(name: str, content: bytes = TEXT, filename: str = "plan.txt", **given: Any) -> dict[str, Any]:
    """A temporary upload of the tenant `demo` that nobody has claimed, alive for a day."""
    now = datetime.now(UTC)
    return {
        "_id": name,
        "tenant": "demo",
        "type": "unassigned",
        "filename": filename,
        "extension": "txt",
        "contentType": "text/plain",
        "match": "match",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "key": f"staging/live/uploads/{name}/{'f' * 16}",
        "createdAt": now,
        "expiresAt": now + timedelta(days=1),
        "keepUntil": now + timedelta(days=1),
        "claimedBy": None,
    } | given


def assign(records: dict[str, int], *uploads: str, filename: str | None = None, **given: Any) -> dict[str, Any]:
    """An assign of uploads to candidates, given as {record id: sequence}."""
    document = mutation("assign", next(iter(records)), **given)
    entry = {"field": None, "filename": filename, "type": "CV", "upload": True}
    return document | {
        "records": [{"type": "candidate", "id": name} for name in records],
        "places": [{"record": f"demo/candidate/{name}", "sequence": number} for name, number in records.items()],
        "files": {name: dict(entry) for name in uploads},
        "fileIds": list(uploads),
    }
