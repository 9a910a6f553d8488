"""What a mutation will do, decided once and completely: apply and finish compute nothing (design §2).

Pure functions from (mutation, record, files or attachments) to a decision document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from shared.errors import OUTCOME_CODES
from shared.events import FileError
from shared.ledger import COMPLETED, FAILED, PARTIALLY_COMPLETED, Document


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes under `records/`: key, size in bytes, SHA-256 in hex, the judged type and how it fits the declared one."""

    key: str
    size: int
    sha256: str
    content_type: str
    match: str


FileResult = StoredFile | FileError


@dataclass(slots=True)
class Decision:
    """Everything that apply and finish need; stored in the ledger by one compare-and-set."""

    status: str
    error: dict[str, str] | None = None
    insert: list[Document] = field(default_factory=list)  # attachment documents
    remove: list[str] = field(default_factory=list)  # attachment ids that lose this record as owner
    delete_keys: list[str] = field(default_factory=list)  # objects without an owner afterwards
    record: Document | None = None  # the record document of a create
    version: int | None = None  # the record's version afterwards, where this mutation changes it
    outcome: Document = field(default_factory=dict)  # `data` of the callback

    def document(self) -> Document:
        """The members as they are stored."""
        return {member.name: getattr(self, member.name) for member in fields(self)}

    @property
    def keys(self) -> set[str]:
        """The objects that this decision names."""
        return {document["key"] for document in self.insert}


def place_name(tenant: str, record: Mapping[str, str]) -> str:
    """How a record is named in places and owners."""
    return f"{tenant}/{record['type']}/{record['id']}"


def failure(code: str) -> dict[str, str]:
    """An error of the table, with its advice as message."""
    return {"code": code, "message": OUTCOME_CODES[code].advice}


def decide_failure(mutation: Document, record: Document | None, code: str) -> Decision:
    """End it without any effect."""
    files = {name: FileError(**failure(code)) for name in mutation.get("files") or {}}
    decision = Decision(FAILED, error=failure(code))
    decision.outcome = _outcome(mutation, decision, record, _file_states(mutation, files))
    return decision


def decide_files(mutation: Document, record: Document | None, files: Mapping[str, FileResult]) -> Decision:
    """A create or an append: the record with whatever could be stored. `record` is None for a create."""
    stored = {name: result for name, result in files.items() if isinstance(result, StoredFile)}
    created = mutation["kind"] == "create"
    if not created and not stored:
        decision = Decision(FAILED, error=failure("no_file_stored"))
    else:
        decision = Decision(COMPLETED if len(stored) == len(files) else PARTIALLY_COMPLETED)
        decision.version = _sequence(mutation)
        decision.insert = [_attachment(mutation, name, result) for name, result in stored.items()]
        decision.record = _new_record(mutation) if created else None
    decision.outcome = _outcome(mutation, decision, record, _file_states(mutation, files))
    return decision


def decide_removal(mutation: Document, record: Document | None, attachments: Mapping[str, Document]) -> Decision:
    """A removal; `attachments` are the live ones, by id, that the record owns."""
    place = place_name(mutation["tenant"], mutation["record"])
    found = [name for name in mutation["remove"] if name in attachments]
    if not found:
        decision = Decision(FAILED, error=failure("nothing_removed"))
    else:
        decision = Decision(COMPLETED if len(found) == len(mutation["remove"]) else PARTIALLY_COMPLETED)
        decision.version = _sequence(mutation)
        decision.remove = found
        decision.delete_keys = [attachments[n]["key"] for n in found if _only_owner(attachments[n], place)]
    states = [_removal_state(name, attachments.get(name)) for name in mutation["remove"]]
    gone = [attachments[name] for name in found if attachments[name]["key"] in decision.delete_keys]
    removed = {"attachments": len(found), "objects": len(gone), "bytes": sum(each["size"] for each in gone)}
    decision.outcome = _outcome(mutation, decision, record, states) | {"removed": removed}
    return decision


def _sequence(mutation: Document) -> int:
    """Its sequence in the record that the outcome is about, the first place."""
    sequence: int = mutation["places"][0]["sequence"]
    return sequence


def _outcome(mutation: Document, decision: Decision, record: Document | None, files: list[Document]) -> Document:
    version = decision.version if decision.version is not None else (record or {}).get("version")
    about = mutation["record"] | {"version": version}
    return {
        "idempotencyKey": mutation["key"],
        "mutationId": mutation["_id"],
        "kind": mutation["kind"],
        "status": decision.status,
        "sequence": _sequence(mutation),
        "record": about,
        "records": [about],
        "attachments": files,
        "removed": {"attachments": 0, "objects": 0, "bytes": 0},
        "error": decision.error,
    }


def _file_states(mutation: Document, files: Mapping[str, FileResult]) -> list[Document]:
    return [_file_state(name, mutation["files"][name], result) for name, result in files.items()]


def _file_state(name: str, entry: Document, result: FileResult) -> Document:
    state: Document = {"id": name, "field": entry["field"], "filename": entry["filename"], "status": "failed"}
    state |= {"contentType": None, "size": None, "sha256": None, "error": None}
    if isinstance(result, FileError):
        return state | {"error": result.model_dump()}
    found = {"contentType": result.content_type, "size": result.size, "sha256": result.sha256}
    return state | found | {"status": "stored"}


def _removal_state(name: str, attachment: Document | None) -> Document:
    state: Document = {"id": name, "field": None, "filename": None, "status": "failed"}
    state |= {"contentType": None, "size": None, "sha256": None, "error": failure("attachment_not_found")}
    if attachment is None:
        return state
    known = {part: attachment.get(part) for part in ("field", "filename", "contentType", "size", "sha256")}
    return state | known | {"status": "removed", "error": None}


def _attachment(mutation: Document, name: str, stored: StoredFile) -> Document:
    entry, record = mutation["files"][name], mutation["record"]
    owner: dict[str, Any] = {"record": place_name(mutation["tenant"], record), **record, "removedAt": None}
    return {
        "_id": name,
        "tenant": mutation["tenant"],
        "field": entry["field"],
        "filename": entry["filename"],
        "declaredType": entry.get("declaredType"),
        "contentType": stored.content_type,
        "match": stored.match,
        "size": stored.size,
        "sha256": stored.sha256,
        "key": stored.key,
        "owners": [owner],
        "mutation": mutation["_id"],
        "createdAt": mutation["createdAt"],
    }


def _new_record(mutation: Document) -> Document:
    return {
        "_id": mutation["record"]["id"],
        "tenant": mutation["tenant"],
        "type": mutation["record"]["type"],
        "fields": mutation.get("fields") or {},
        "createdAt": mutation["createdAt"],
        "updatedAt": mutation["createdAt"],
    }


def _only_owner(attachment: Document, place: str) -> bool:
    return all(owner["record"] == place or owner["removedAt"] is not None for owner in attachment["owners"])
