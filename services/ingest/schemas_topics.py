"""What is on the tenants' topics, as models: for their description only; tests hold real outcomes against them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from shared.events import Kind


class _Shown(BaseModel):
    """Members may be added: consumers ignore what they don't know."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)


class FieldProblem(_Shown):
    """One thing wrong with a command: JSON pointer of the member, a stable code, what to do."""

    field: str
    code: str
    message: str


class OutcomeError(_Shown):
    """Why: a stable code and what to do; of a rejected command also every single error."""

    code: str
    message: str
    errors: list[FieldProblem] | None = None


class OutcomeRecord(_Shown):
    """A record and its version after the mutation; null when the record is not there."""

    type: str
    id: str
    version: int | None


class OutcomeFile(_Shown):
    """A file and what became of it: judged type, size in bytes, SHA-256 in hex."""

    id: str
    field: str | None = None
    filename: str | None = None
    status: str
    content_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    error: OutcomeError | None = None


class Removed(_Shown):
    """What a removal or an erasure removed."""

    attachments: int
    objects: int
    bytes: int


class Outcome(_Shown):
    """How a mutation ended. A rejected command has neither sequence nor files, and of the rest what could be read."""

    idempotency_key: str | None
    mutation_id: str
    kind: Kind | None
    status: Literal["completed", "partially_completed", "failed", "rejected"]
    sequence: int | None
    record: OutcomeRecord | None
    records: list[OutcomeRecord]
    attachments: list[OutcomeFile]
    removed: Removed
    error: OutcomeError | None


class OutcomeMeta(_Shown):
    """Which environment it is about."""

    sandbox_enabled: bool


class OutcomeMessage(_Shown):
    """The outcome of a mutation, in the same bytes as the callback's body."""

    type: Literal["mutation.completed"]
    timestamp: datetime
    data: Outcome
    meta: OutcomeMeta


def example() -> dict[str, Any]:
    """An outcome as it looks."""
    record = {"type": "candidate", "id": "0193a1f0-0000-7000-8000-000000000001", "version": 1}
    return {
        "type": "mutation.completed",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {
            "idempotencyKey": "import-42", "mutationId": "0193a1f0-0000-7000-8000-000000000002", "kind": "create",
            "status": "completed", "sequence": 1, "record": record, "records": [record], "attachments": [],
            "removed": {"attachments": 0, "objects": 0, "bytes": 0}, "error": None,
        },
        "meta": {"sandboxEnabled": False},
    }  # fmt: skip
