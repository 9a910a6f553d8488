"""Decisions that change or take away: update, remove, erase."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from services.storage.decision import (
    Decision,
    Records,
    failure,
    first_sequence,
    outcome,
    owned_alone,
    place_name,
)
from shared.ledger import COMPLETED, FAILED, PARTIALLY_COMPLETED, Document
from shared.search import search_keys


def decide_update(mutation: Document, records: Records) -> Decision:
    """The record's fields as they are afterwards, all of them: what is set replaces, what is cleared is gone."""
    record, changes = records[mutation["record"]["id"]], mutation.get("changes") or {}
    kept = {
        name: value for name, value in (record.get("fields") or {}).items() if name not in (changes.get("clear") or ())
    }
    changed = kept | (changes.get("set") or {})
    decision = Decision(COMPLETED, version=first_sequence(mutation))
    decision.change = {"fields": changed, "search": search_keys(changed)}
    decision.outcome = outcome(mutation, decision, records, [])
    return decision


def decide_removal(mutation: Document, records: Records, attachments: Mapping[str, Document]) -> Decision:
    """A removal; `attachments` are the live ones, by id, that the record owns."""
    found = {name: attachments[name] for name in mutation["remove"] if name in attachments}
    if not found:
        decision = Decision(FAILED, error=failure("nothing_removed"))
    else:
        decision = Decision(COMPLETED if len(found) == len(mutation["remove"]) else PARTIALLY_COMPLETED)
        _take_away(decision, mutation, found)
    states = [_removal_state(name, attachments.get(name)) for name in mutation["remove"]]
    decision.outcome = outcome(mutation, decision, records, states) | {"removed": _removed(mutation, found.values())}
    return decision


def decide_erasure(
    mutation: Document, records: Records, attachments: Mapping[str, Document], staged: tuple[int, int], now: datetime
) -> Decision:
    """The end of a record: `attachments` are all live ones that it owns, `staged` the (number, bytes) of objects that
    its mutations left under `staging/`. Objects that other records own stay, and are not counted."""
    decision = Decision(COMPLETED, erase=now)
    _take_away(decision, mutation, attachments)
    removed = _removed(mutation, attachments.values())
    removed["objects"] += staged[0]
    removed["bytes"] += staged[1]
    decision.outcome = outcome(mutation, decision, records, []) | {"removed": removed}
    return decision


def _take_away(decision: Decision, mutation: Document, attachments: Mapping[str, Document]) -> None:
    decision.version = first_sequence(mutation)
    decision.remove = list(attachments)
    # Another owner may go at the same time, in the turn of another record: which objects die is seen afterwards.
    decision.candidates = {name: each["key"] for name, each in attachments.items()}


def _removed(mutation: Document, attachments: Iterable[Document]) -> dict[str, int]:
    place, found = place_name(mutation["tenant"], mutation["record"]), list(attachments)
    gone = [each["size"] for each in found if owned_alone(each, place)]
    return {"attachments": len(found), "objects": len(gone), "bytes": sum(gone)}


def _removal_state(name: str, attachment: Document | None) -> Document:
    state: Document = {"id": name, "field": None, "filename": None, "status": "failed"}
    state |= {"contentType": None, "size": None, "sha256": None, "error": failure("attachment_not_found")}
    if attachment is None:
        return state
    known = {part: attachment.get(part) for part in ("field", "filename", "contentType", "size", "sha256")}
    return state | known | {"status": "removed", "error": None}
