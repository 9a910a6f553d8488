"""Decisions that bring attachments: create, append, assign."""

from collections.abc import Mapping

from services.storage.decision import (
    Decision,
    FileResult,
    Records,
    StoredFile,
    failure,
    file_states,
    first_sequence,
    outcome,
    place_name,
    targets,
    uploads_of,
)
from shared.content.media_types import named
from shared.ledger import COMPLETED, FAILED, PARTIALLY_COMPLETED, Document
from shared.search import search_keys


def decide_files(mutation: Document, records: Records, files: Mapping[str, FileResult]) -> Decision:
    """The records with whatever could be stored; a create makes its record in any case."""
    stored = {name: result for name, result in files.items() if isinstance(result, StoredFile)}
    created = mutation["kind"] == "create"
    if not created and not stored:
        decision = Decision(FAILED, error=failure("no_file_stored"))
    else:
        decision = Decision(COMPLETED if len(stored) == len(files) else PARTIALLY_COMPLETED)
        decision.version = first_sequence(mutation)
        decision.insert = [_attachment(mutation, name, result) for name, result in stored.items()]
        decision.record = _new_record(mutation) if created else None
    decision.outcome = outcome(mutation, decision, records, file_states(mutation, files))
    return decision


def decide_assign(
    mutation: Document, records: Records, files: Mapping[str, FileResult], uploads: Mapping[str, Document]
) -> Decision:
    """Uploads become attachments of every record it names; `uploads` by id, as its claims left them."""
    entries = {name: _named(entry, uploads.get(name)) for name, entry in mutation["files"].items()}
    decision = decide_files(mutation | {"files": entries}, records, files)
    stored = {document["_id"] for document in decision.insert}
    decision.assigned = {name: uploads[name]["key"] for name in sorted(stored)}
    decision.release = [name for name in uploads_of(mutation) if name not in stored]
    return decision


def _named(entry: Document, upload: Document | None) -> Document:
    """Without a new name it keeps the upload's; a new one gets the extension of what the upload was judged to be."""
    if upload is None or not upload.get("filename"):
        return entry
    return entry | {"filename": named(entry.get("filename") or upload["filename"], upload["contentType"])}


def _attachment(mutation: Document, name: str, stored: StoredFile) -> Document:
    entry = mutation["files"][name]
    return {
        "_id": name,
        "tenant": mutation["tenant"],
        "field": entry.get("field"),
        "type": entry.get("type"),
        "filename": entry["filename"],
        "declaredType": entry.get("declaredType"),
        "contentType": stored.content_type,
        "match": stored.match,
        "size": stored.size,
        "sha256": stored.sha256,
        "key": stored.key,
        "owners": [
            {"record": place_name(mutation["tenant"], record), **record, "removedAt": None}
            for record in targets(mutation)
        ],
        "mutation": mutation["_id"],
        "createdAt": mutation["createdAt"],
    }


def _new_record(mutation: Document) -> Document:
    given = mutation.get("fields") or {}
    return {
        "_id": mutation["record"]["id"],
        "tenant": mutation["tenant"],
        "type": mutation["record"]["type"],
        "fields": given,
        "search": search_keys(given),
        "createdAt": mutation["createdAt"],
        "updatedAt": mutation["createdAt"],
    }
