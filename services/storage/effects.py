"""The writes of apply and finish, as bulk operations. Each may run twice, and late after the end: it is void then."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import UpdateOne

from services.storage.decision import Decision, place_name
from shared.ledger import APPLYING, OWED, Document
from shared.limits import KEPT_SECONDS

Operation = UpdateOne
PERSONAL = ("filename", "declaredType", "contentType", "match", "size", "sha256", "key")
KEPT_OF_FILES = ("field", "type")  # of a scrubbed mutation


def born_record(decision: Decision) -> list[Document]:
    """The record of a create, to be inserted where its id never was before."""
    if decision.record is None:
        return []
    return [decision.record | {"version": decision.version, "sequence": decision.version}]


def document_effects(database: str, mutation: Document, decision: Decision) -> list[Operation]:
    """Attachments that lose their last owner become tombstones, and so do uploads that were assigned; what was claimed
    in vain is free again; an erasure is noted for its second pass."""
    place = place_name(mutation["tenant"], mutation["record"])
    operations: list[Operation] = []
    if decision.remove:
        removal = without_owner(place)
        operations += [UpdateOne({"_id": n}, removal, namespace=f"{database}.attachments") for n in decision.remove]
    if decision.assigned or decision.release:
        claimed = {"claimedBy": mutation["_id"], "endedAt": None}
        ended, free = upload_end("assigned", datetime.now(UTC)), {"$set": {"claimedBy": None}}
        ends = dict.fromkeys(decision.assigned, ended) | dict.fromkeys(decision.release, free)
        operations += [UpdateOne({"_id": n} | claimed, end, namespace=f"{database}.uploads") for n, end in ends.items()]
    if decision.erase is not None:
        note, mine = {"place": place, "at": decision.erase}, {"_id": mutation["_id"]}
        operations.append(UpdateOne(mine, {"$setOnInsert": note}, upsert=True, namespace=f"{database}.erasures"))
    return operations


def upload_end(end: str, now: datetime) -> Document:
    """The update that makes a tombstone of an upload: `assigned` or `expired`."""
    ended = {"endedAt": now, "end": end, "expireAt": now + timedelta(seconds=KEPT_SECONDS)}
    return {"$set": ended, "$unset": dict.fromkeys((*PERSONAL, "extension"), "")}


def record_effects(database: str, mutation: Document, decision: Decision) -> list[Operation]:
    """The record changes only where its version is smaller than ours; every end lifts its sequence."""
    namespace = f"{database}.records"
    if decision.record is not None:
        return []
    operations = []
    for place in mutation["places"]:
        tenant, kind, name = place["record"].split("/")
        record = {"_id": name, "tenant": tenant, "type": kind}
        if decision.version is not None:
            younger = record | {"version": {"$lt": place["sequence"]}, "removedAt": None}
            change = _record_change(mutation, decision, place["sequence"])
            operations.append(UpdateOne(younger, change, namespace=namespace))
        operations.append(UpdateOne(record, {"$max": {"sequence": place["sequence"]}}, namespace=namespace))
    return operations


def _record_change(mutation: Document, decision: Decision, version: int) -> Document:
    if decision.erase is not None:
        gone = {"fields": "", "search": "", "updatedAt": ""}
        return {"$set": {"version": version, "removedAt": decision.erase}, "$unset": gone}
    return {"$set": {"version": version, "updatedAt": mutation["createdAt"]} | (decision.change or {})}


def finish_effect(database: str, mutation: Document, decision: Decision) -> Operation:
    """The end: compare-and-set on `applying`; the outcome is owed from here on, the inline payload is gone."""
    now = datetime.now(UTC)
    files: dict[str, Document] = mutation.get("files") or {}
    ended: dict[str, Any] = {
        "status": decision.status,
        "outcome": decision.outcome,
        "owed": True,
        "lane": OWED,
        "times": decision.times,
        "endedAt": now,
        "expireAt": now + timedelta(seconds=KEPT_SECONDS),
    }
    gone = dict.fromkeys(("fields", "changes", "decision"), "")
    if decision.scrub:
        kept = {name: {part: entry.get(part) for part in KEPT_OF_FILES} for name, entry in files.items()}
        ended |= {"files": kept, "scrubbedAt": now}
        gone["parked"] = ""
    else:
        gone |= {f"files.{name}.data": "" for name in files}
    return UpdateOne(
        {"_id": mutation["_id"], "status": APPLYING}, {"$set": ended, "$unset": gone}, namespace=f"{database}.mutations"
    )


def without_owner(place: str) -> list[Document]:
    """One atomic update: mark this owner removed (never pulled); with none left, the document becomes a tombstone."""
    mine = {"$and": [{"$eq": ["$$owner.record", place]}, {"$eq": ["$$owner.removedAt", None]}]}
    marked = {"$cond": [mine, {"$mergeObjects": ["$$owner", {"removedAt": "$$NOW"}]}, "$$owner"]}
    gone = {"$map": {"input": "$owners", "as": "owner", "in": {"$ne": ["$$owner.removedAt", None]}}}
    last = {"$allElementsTrue": [gone]}
    expiry = {"$add": ["$$NOW", KEPT_SECONDS * 1000]}
    return [
        {"$set": {"owners": {"$map": {"input": "$owners", "as": "owner", "in": marked}}}},
        {
            "$set": {
                "removedAt": {"$ifNull": ["$removedAt", {"$cond": [last, "$$NOW", "$$REMOVE"]}]},
                "expireAt": {"$ifNull": ["$expireAt", {"$cond": [last, expiry, "$$REMOVE"]}]},
            }
            | {name: {"$cond": [last, "$$REMOVE", f"${name}"]} for name in PERSONAL}
        },
    ]
