"""Documents of mutations before their claim: ids, times, and which files stay in the ledger."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from uuid_utils import uuid7

from services.ingest.inline_files import InlineFile
from services.ingest.record_types import RecordType
from services.ingest.rehearsal import rehearsed
from services.ingest.schemas import AssignPayload, FilesPayload, RecordPayload
from shared import ledger as states
from shared import limits
from shared.events import Kind
from shared.ledger import FileEntry, MutationDocument


@dataclass(frozen=True, slots=True)
class Write:
    """Who wants a write, under which key; `fingerprint` is what a repetition must match.

    `by_topic`: nobody waits for an answer, so whether its records are there is decided in its turn only.
    """

    environment: str
    tenant: str
    key: str
    fingerprint: str
    callback_url: str | None
    traceparent: str
    by_topic: bool = False
    versions: tuple[int, ...] | None = None  # the record must be at one of these (If-Match); None: at any
    asked_at: datetime | None = None  # when the request began, or the command was produced


@dataclass(slots=True)
class Draft:
    """A mutation before its claim; `large` are the files to stage, by attachment id."""

    document: MutationDocument
    large: dict[str, InlineFile] = field(default_factory=dict)


class Drafter:
    """Builds documents; time and ids are parameters."""

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: str(uuid7()),
    ) -> None:
        self._now, self._new_id = now, new_id

    def created(self, write: Write, key: str, record_type: RecordType, payload: RecordPayload) -> Draft:
        draft = self.drafted(write, key, "create", {"type": record_type.name, "id": self._new_id()})
        draft.document["fields"] = payload.record_fields()
        self.add_files(write, draft, payload)
        return draft

    def drafted(self, write: Write, key: str, kind: Kind, record: dict[str, str]) -> Draft:
        now = self._now()
        document = MutationDocument(
            _id=self._new_id(), tenant=write.tenant, key=key, fingerprint=write.fingerprint, kind=kind,
            record=record, files={}, fileIds=[], status=states.ACCEPTED,
            parked=None, decision=None, outcome=None, owed=False, tries=0, published=None,
            traceparent=write.traceparent, createdAt=now, deadline=now + timedelta(seconds=limits.DEADLINE_SECONDS),
        )  # fmt: skip
        if write.callback_url is not None:
            document["callbackUrl"] = write.callback_url
        if write.asked_at is not None:
            document["askedAt"] = write.asked_at
        return Draft(document)

    def head(self, write: Write, members: list[MutationDocument]) -> MutationDocument:
        """The head of an array: it never ends, so its 90 days begin when the last member must have ended."""
        now = self._now()
        head = MutationDocument(
            _id=self._new_id(), tenant=write.tenant, key=write.key, fingerprint=write.fingerprint, kind="create",
            status=states.BATCH, members=[member["_id"] for member in members], createdAt=now,
            expireAt=now + timedelta(seconds=limits.DEADLINE_SECONDS + limits.KEPT_SECONDS),
        )  # fmt: skip
        for member in members:
            member["head"] = head["_id"]
        return head

    def assigned(self, write: Write, records: list[dict[str, str]], payload: AssignPayload) -> Draft:
        """The attachments keep the ids of the uploads."""
        draft = self.drafted(write, write.key, "assign", records[0])
        draft.document["records"] = records
        draft.document["fileIds"] = [file.id for file in payload.attachments]
        draft.document["files"] = {
            file.id: {"field": None, "filename": file.name, "type": file.type, "upload": True}
            for file in payload.attachments
        }
        return draft

    def add_files(self, write: Write, draft: Draft, payload: FilesPayload) -> None:
        """Small base64 stays in the ledger while the mutation's share lasts; the rest is to be staged."""
        room = limits.INLINE_MUTATION_BYTES
        for name, file in payload.files():
            entry: FileEntry = {"field": name, "filename": file.filename, "declaredType": None}
            if (attachment_type := payload.file_types[name]) is not None:
                entry["type"] = attachment_type
            attachment = self._new_id()
            if (code := rehearsed(write.environment, file.filename)) is not None:
                entry["rehearsed"] = code
            elif file.url is not None:
                entry["url"] = file.url
            elif file.data is not None:
                entry["declaredType"] = file.data.declared_type
                if file.data.text is not None and file.data.size <= room:
                    entry["data"], room = file.data.text, room - file.data.size
                else:
                    draft.large[attachment] = file.data
            draft.document["files"][attachment] = entry
            draft.document["fileIds"].append(attachment)
