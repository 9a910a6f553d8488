"""What a mutation will do, decided once and completely: apply and finish compute nothing (design §2).

A decision's shape, its outcome, and the one that every kind may come to: a failure. The others have modules by kind.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from shared.errors import OUTCOME_CODES
from shared.events import FileError
from shared.ledger import FAILED, Document

Records = Mapping[str, Document]  # the tenant's own records, by id


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
    candidates: dict[str, str] = field(default_factory=dict)  # their keys: objects that go if no owner is left
    assigned: dict[str, str] = field(default_factory=dict)  # uploads that are attachments now: their staged keys
    release: list[str] = field(default_factory=list)  # uploads that it may have claimed in vain
    record: Document | None = None  # the record document of a create
    change: Document | None = None  # {fields, search} of an update
    erase: datetime | None = None  # when the record is erased
    scrub: bool = False  # a record of its was erased: the mutation itself keeps nothing personal
    version: int | None = None  # the first record's version afterwards, where this mutation changes its records
    outcome: Document = field(default_factory=dict)  # `data` of the callback
    times: Document = field(default_factory=dict)  # of the mutation's way up to this decision, for its time line

    def document(self) -> Document:
        """The members as they are stored: those that hold something."""
        held = {member.name: getattr(self, member.name) for member in fields(self)}
        return {name: value for name, value in held.items() if value not in (None, False, [], {})}

    @property
    def keys(self) -> set[str]:
        """The objects that this decision names."""
        return {document["key"] for document in self.insert}


def place_name(tenant: str, record: Mapping[str, str]) -> str:
    """How a record is named in places and owners."""
    return f"{tenant}/{record['type']}/{record['id']}"


def targets(mutation: Document) -> list[dict[str, str]]:
    """The records that a mutation is about, as {type, id}, in the order of its places."""
    named: list[dict[str, str]] = mutation.get("records") or [mutation["record"]]
    return named


def own_records(mutation: Document, found: Records) -> dict[str, Document]:
    """Those of its records that are there, by id; somebody else's, or one of another type, is not."""
    wanted = {each["id"]: (mutation["tenant"], each["type"]) for each in targets(mutation)}
    return {
        name: found[name] for name in wanted if name in found and _identity(found[name]) == wanted[name]
    }  # fmt: skip


def failure(code: str) -> dict[str, str]:
    """An error of the table, with its advice as message."""
    return {"code": code, "message": OUTCOME_CODES[code].advice}


def decide_failure(mutation: Document, records: Records, code: str) -> Decision:
    """End it without any effect. What is late for an erased record brings nothing personal back, in no way."""
    files = {name: FileError(**failure(code)) for name in mutation.get("files") or {}}
    decision = Decision(FAILED, error=failure(code), release=uploads_of(mutation))
    decision.scrub = any(record.get("removedAt") for record in records.values())
    states = file_states(mutation, files)
    if decision.scrub:
        states = [state | {"filename": None} for state in states]
    decision.outcome = outcome(mutation, decision, records, states)
    return decision


def uploads_of(mutation: Document) -> list[str]:
    """The temporary uploads that it assigns."""
    return [name for name, entry in (mutation.get("files") or {}).items() if entry.get("upload")]


def first_sequence(mutation: Document) -> int:
    """Its sequence in the record that the outcome is about, the first place."""
    sequence: int = mutation["places"][0]["sequence"]
    return sequence


def outcome(mutation: Document, decision: Decision, records: Records, files: list[Document]) -> Document:
    """`data` of the callback. A changed record has the mutation's sequence as version, the others what they had."""
    changed = decision.version is not None
    about = [
        target | {"version": place["sequence"] if changed else records.get(target["id"], {}).get("version")}
        for target, place in zip(targets(mutation), mutation["places"], strict=True)
    ]
    return {
        "idempotencyKey": mutation["key"],
        "mutationId": mutation["_id"],
        "kind": mutation["kind"],
        "status": decision.status,
        "sequence": first_sequence(mutation),
        "record": about[0],
        "records": about,
        "attachments": files,
        "removed": {"attachments": 0, "objects": 0, "bytes": 0},
        "error": decision.error,
    }


def file_states(mutation: Document, files: Mapping[str, FileResult]) -> list[Document]:
    """What became of each file, as the outcome tells it. A scrubbed mutation knows no names any more."""
    return [_file_state(name, mutation["files"][name], result) for name, result in files.items()]


def owned(attachments: Iterable[Document], place: str) -> dict[str, Document]:
    """Those of live attachments that a record owns, by id."""
    mine = {"record": place, "removedAt": None}
    return {
        each["_id"]: each for each in attachments if any(mine.items() <= owner.items() for owner in each["owners"])
    }  # fmt: skip


def owned_alone(attachment: Document, place: str) -> bool:
    """Whether nobody is left when this owner goes."""
    return all(owner["record"] == place or owner["removedAt"] is not None for owner in attachment["owners"])


def _identity(record: Document) -> tuple[Any, Any]:
    return record["tenant"], record["type"]


def _file_state(name: str, entry: Document, result: FileResult) -> Document:
    state: Document = {"id": name, "field": entry.get("field"), "filename": entry.get("filename"), "status": "failed"}
    state |= {"contentType": None, "size": None, "sha256": None, "error": None}
    if isinstance(result, FileError):
        return state | {"error": result.model_dump()}
    found = {"contentType": result.content_type, "size": result.size, "sha256": result.sha256}
    return state | found | {"status": "stored"}
