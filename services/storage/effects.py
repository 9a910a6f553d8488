"""The writes of apply and finish, as bulk operations. Each may run twice, and late after the end: it is void then."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import UpdateOne

from services.storage.decision import Decision, place_name
from shared.ledger import APPLYING, OWED, Document
from shared.limits import KEPT_SECONDS

Operation = UpdateOne
PERSONAL = ("filename", "declaredType", "contentType", "match", "size", "sha256", "key")


def born_record(decision: Decision) -> list[Document]:
    """The record of a create, to be inserted where its id never was before."""
    if decision.record is None:
        return []
    return [decision.record | {"version": decision.version, "sequence": decision.version}]


def removal_effects(database: str, mutation: Document, decision: Decision) -> list[Operation]:
    """Attachments that lose their last owner become tombstones."""
    removal = without_owner(place_name(mutation["tenant"], mutation["record"]))
    return [UpdateOne({"_id": name}, removal, namespace=f"{database}.attachments") for name in decision.remove]


def record_effects(database: str, mutation: Document, decision: Decision) -> list[Operation]:
    """The record changes only where its version is smaller than ours; every end lifts its sequence."""
    namespace = f"{database}.records"
    if decision.record is not None:
        return []
    operations = []
    for place in mutation["places"]:
        record = {"_id": place["record"].rsplit("/", 1)[1], "tenant": mutation["tenant"]}
        if decision.version is not None:
            newer = {"$set": {"version": place["sequence"], "updatedAt": mutation["createdAt"]}}
            younger = record | {"version": {"$lt": place["sequence"]}, "removedAt": None}
            operations.append(UpdateOne(younger, newer, namespace=namespace))
        operations.append(UpdateOne(record, {"$max": {"sequence": place["sequence"]}}, namespace=namespace))
    return operations


def finish_effect(database: str, mutation: Document, decision: Decision) -> Operation:
    """The end: compare-and-set on `applying`; the outcome is owed from here on, the inline payload is gone."""
    now = datetime.now(UTC)
    payload = {f"files.{name}.data": "" for name in mutation.get("files") or {}}
    gone = payload | {"fields": "", "decision": ""}
    ended: dict[str, Any] = {
        "status": decision.status,
        "outcome": decision.outcome,
        "owed": True,
        "lane": OWED,
        "endedAt": now,
        "expireAt": now + timedelta(seconds=KEPT_SECONDS),
    }
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
