"""Answers as models, for the API's description only; a test holds real answers against them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.alias_generators import to_camel

from shared.deliveries import AttemptError, DeliveryStatus


class Answer(BaseModel):
    """What every answer is: nothing beyond its members."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Meta(Answer):
    """Which environment answered."""

    sandbox_enabled: bool


class RecordRef(Answer):
    """A record by type and id."""

    type: str
    id: str


class AcceptedFile(Answer):
    """A file of an accepted mutation, with the id that it will have."""

    id: str
    field: str | None
    filename: str | None


class AcceptedMutation(Answer):
    """One mutation of an accepted request."""

    mutation_id: str
    idempotency_key: str
    record: RecordRef
    records: list[RecordRef]
    attachments: list[AcceptedFile]


class AcceptedData(Answer):
    """The acknowledgement; a single write has one entry in `mutations`."""

    status: Literal["accepted"]
    idempotency_key: str
    mutation_id: str
    message: str
    mutations: list[AcceptedMutation]


class AcceptedAnswer(Answer):
    """202: an acknowledgement, not a result."""

    status_code: Literal[202]
    message: str
    data: AcceptedData
    meta: Meta


class ProblemError(Answer):
    """One thing wrong: JSON pointer of a member, or name of a parameter or header; a stable code; what to do."""

    field: str
    code: str
    message: str


class ProblemAnswer(Answer):
    """RFC 9457, with the envelope's words."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    status_code: int
    message: str
    errors: list[ProblemError]
    meta: Meta


class Found(Answer):
    """200 in the envelope."""

    status_code: Literal[200]
    message: str
    meta: Meta


class Record(Answer):
    """A record; further members are those of the create."""

    model_config = ConfigDict(extra="allow")
    id: str
    version: int
    created_at: datetime | None
    updated_at: datetime | None


class RecordAnswer(Found):
    """A record."""

    data: Record


class Attachment(Answer):
    """A file: judged type, what it is for, size in bytes, SHA-256 in hex; `expiresAt` while it is temporary."""

    id: str
    field: str | None
    type: str | None
    filename: str | None
    content_type: str | None
    declared_type: str | None
    size: int | None
    sha256: str | None
    created_at: datetime | None
    expires_at: datetime | None
    owners: list[RecordRef]


class AttachmentAnswer(Found):
    """A stored file."""

    data: Attachment


class AttachmentsAnswer(Found):
    """Stored files."""

    data: list[Attachment]


class UploadedFile(Answer):
    """A temporary file; its extension follows its bytes, size in bytes."""

    attachment_id: str
    attachment_name: str
    type: str
    created_at: datetime
    extension: str
    size: int
    expires_at: datetime


class UploadedFiles(RootModel[list[UploadedFile]]):
    """In the order in which they came."""


class LinkAnswer(Answer):
    """A download URL and when it ends."""

    url: str
    expires_at: datetime


class Attempt(Answer):
    """One attempt to call back; `status` is that of the answer, `ms` how long it took, `error` null on success."""

    n: int
    at: datetime | None
    status: int | None
    ms: int | float | None
    answer: str | None
    error: AttemptError | None


class Delivery(Answer):
    """A callback. `attempt` counts those that ended; while one is `inFlight`, nobody knows when the next would be."""

    status: DeliveryStatus
    attempt: int | None
    in_flight: bool
    next_at: datetime | None
    created_at: datetime | None
    ended_at: datetime | None
    attempts: list[Attempt]


class MutationState(Answer):
    """A mutation as the ledger sees it, without its callback: what an event holds."""

    idempotency_key: str | None
    mutation_id: str
    kind: str | None
    status: Literal["accepted", "applying", "completed", "partially_completed", "failed", "rejected"]
    sequence: int | None
    record: dict[str, Any] | None
    records: list[dict[str, Any]]
    attachments: list[dict[str, Any]] | None
    removed: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: datetime
    deadline: datetime | None
    ended_at: datetime | None


class Mutation(MutationState):
    """A mutation, and what is known of its callback."""

    callback: bool
    deliveries: list[Delivery]


class MutationBatch(Answer):
    """A request for several records, and its members."""

    idempotency_key: str
    mutation_id: str
    kind: str
    status: Literal["batch"]
    created_at: datetime
    members: list[Mutation]


class MutationAnswer(Found):
    """A mutation, or the head of several."""

    data: Mutation | MutationBatch


class Reset(Answer):
    """Of the sandbox: as of when it is emptied, and when that was done."""

    requested_at: datetime | None
    completed_at: datetime | None


class ResetAnswer(Answer):
    """A reset of the sandbox."""

    status_code: Literal[200, 202]
    message: str
    data: Reset
    meta: Meta
