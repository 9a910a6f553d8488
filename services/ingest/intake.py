"""Acceptance: a valid payload becomes a mutation in the ledger, and only that makes a 202 (design: accepting).

Knows neither HTTP nor a client library; the command topic comes through here, too.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog

from services.ingest.drafts import Draft, Drafter, Write
from services.ingest.inline_files import InlineFile
from services.ingest.ports import Keeps, Ledger, Relay, Staging
from services.ingest.problems import Problem, no_record, unavailable
from services.ingest.record_types import RecordType
from services.ingest.schemas import AssignPayload, FilesPayload, RecordPayload, UpdatePayload
from shared import ledger as states
from shared import limits
from shared.crash_points import crash_point
from shared.errors import DependencyUnavailable
from shared.ledger import MutationDocument
from shared.tracing import Span, about, span

log = structlog.get_logger()
DISCARD_SECONDS: Final = 2.0
STAGE_SECONDS: Final = 10.0  # of one large file; a store that takes longer for 5 MB is away


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a 202 tells: the document that holds the key, and one document for each record."""

    held: MutationDocument
    mutations: list[MutationDocument]
    replayed: bool


class Intake:
    """Turns payloads into claimed mutations."""

    def __init__(
        self, ledger: Ledger, relay: Relay, staging: Staging, keeps: Keeps, drafter: Drafter | None = None
    ) -> None:
        self._ledger, self._relay, self._staging, self._keeps = ledger, relay, staging, keeps
        self._drafter = drafter or Drafter()

    async def create(self, write: Write, record_type: RecordType, payload: RecordPayload) -> Accepted:
        """A new record under an id of ours."""
        return await self._claim(write, self._drafter.created(write, write.key, record_type, payload))

    async def create_many(self, write: Write, record_type: RecordType, payloads: Sequence[RecordPayload]) -> Accepted:
        """Several new records, all or none: a head with the client's key, members with `<key>#n`."""
        drafts = [
            self._drafter.created(write, f"{write.key}#{n}", record_type, payload)
            for n, payload in enumerate(payloads, 1)
        ]
        members = [draft.document for draft in drafts]
        head = self._drafter.head(write, members)
        if any(draft.large for draft in drafts) and (held := await self._holder(write)):
            return await self._answer(write, held)
        staged = await self._stage(write, drafts)
        try:
            with _accepting(write, head):
                held = await self._ledger.claim_array(write.environment, head, members)
        except DependencyUnavailable:
            raise _unknown(write) from None
        if held["_id"] != head["_id"]:
            await self._discard(staged)
            return await self._answer(write, held)
        self._send(write, members)
        return Accepted(held, members, replayed=False)

    async def update(self, write: Write, record_type: RecordType, record_id: str, payload: UpdatePayload) -> Accepted:
        """New values for a record that is there, or on its way."""
        draft = self._drafter.drafted(write, write.key, "update", _record(record_type, record_id))
        draft.document["changes"] = payload.changes()
        return await self._on_record(write, draft)

    async def append(self, write: Write, record_type: RecordType, record_id: str, payload: FilesPayload) -> Accepted:
        """Files for a record that is there, or on its way."""
        draft = self._drafter.drafted(write, write.key, "append", _record(record_type, record_id))
        self._drafter.add_files(write, draft, payload)
        return await self._on_record(write, draft)

    async def remove(
        self, write: Write, record_type: RecordType, record_id: str, attachment_ids: Sequence[str]
    ) -> Accepted:
        """Remove attachments of a record for good."""
        draft = self._drafter.drafted(write, write.key, "remove", _record(record_type, record_id))
        draft.document["remove"] = list(dict.fromkeys(attachment_ids))
        return await self._on_record(write, draft)

    async def erase(self, write: Write, record_type: RecordType, record_id: str) -> Accepted:
        """Erase a record and every stored byte of it."""
        draft = self._drafter.drafted(write, write.key, "erase", _record(record_type, record_id))
        return await self._on_record(write, draft)

    async def assign(self, write: Write, payload: AssignPayload) -> Accepted:
        """Temporary uploads for records that are there, or on their way; which of them still are, the outcome tells."""
        draft = self._drafter.assigned(write, payload.records(), payload)
        if held := await self._holder(write):
            return await self._answer(write, held)
        for record in draft.document["records"]:
            if not await self._known(write, record):
                raise no_record(record["type"], f"/{record['type']}Id")
        # Before the insert: from the 202 on no upload may expire under the mutation.
        until = draft.document["deadline"] + timedelta(seconds=limits.KEPT_AFTER_DEADLINE_SECONDS)
        try:
            await self._keeps.keep(write.environment, write.tenant, draft.document["fileIds"], until)
        except DependencyUnavailable:
            raise _unknown(write) from None
        return await self._claim(write, draft)

    async def _on_record(self, write: Write, draft: Draft) -> Accepted:
        record = draft.document["record"]
        refusal = None
        if not await self._known(write, record):
            refusal = no_record(record["type"])
        elif write.versions is not None:
            present = await self._version(write, record)
            if present in write.versions:
                draft.document["expectedVersion"] = present
            else:
                refusal = Problem("version_conflict", field="If-Match")
        if refusal is None:
            return await self._claim(write, draft)
        # A repetition gets its 202 again, also when the record has changed or been erased since.
        if held := await self._holder(write):
            return await self._answer(write, held)
        raise refusal

    async def _known(self, write: Write, record: dict[str, str]) -> bool:
        if write.by_topic:
            return True
        try:
            return await self._ledger.record_known(write.environment, write.tenant, record["type"], record["id"])
        except DependencyUnavailable:
            raise _unknown(write) from None

    async def _version(self, write: Write, record: dict[str, str]) -> int | None:
        try:
            return await self._ledger.record_version(write.environment, write.tenant, record["type"], record["id"])
        except DependencyUnavailable:
            raise _unknown(write) from None

    async def _claim(self, write: Write, draft: Draft) -> Accepted:
        document = draft.document
        if draft.large and (held := await self._holder(write)):
            return await self._answer(write, held)
        staged = await self._stage(write, [draft])
        records = document.get("records") or [document["record"]]
        places = [_place(write.tenant, record) for record in records]
        try:
            with _accepting(write, document):
                held = await self._ledger.claim(write.environment, document, places)
        except DependencyUnavailable:
            # The insert may be there, so what is staged stays; the sweeper removes it if no mutation holds it.
            raise _unknown(write) from None
        if held["_id"] != document["_id"]:
            await self._discard(staged)
            return await self._answer(write, held)
        self._send(write, [held])
        return Accepted(held, [held], replayed=False)

    def _send(self, write: Write, mutations: list[MutationDocument]) -> None:
        crash_point("ingest.inserted")
        for document in mutations:
            self._relay.offer(write.environment, document)
            log.info("mutation.accepted", mutation=document["_id"], tenant=write.tenant, kind=document["kind"])

    async def _holder(self, write: Write) -> MutationDocument | None:
        try:
            return await self._ledger.find(write.environment, write.tenant, write.key)
        except DependencyUnavailable:
            raise _unknown(write) from None

    async def _answer(self, write: Write, held: MutationDocument) -> Accepted:
        """The 202 of the mutation that holds the key, or 422 when it was another request."""
        if held.get("fingerprint") != write.fingerprint:
            raise Problem("idempotency_key_reused", field="idempotencyKey")
        if held["status"] != states.BATCH:
            return Accepted(held, [held], replayed=True)
        try:
            found = await self._ledger.members(write.environment, held["members"])
        except DependencyUnavailable:
            raise _unknown(write) from None
        return Accepted(held, found, replayed=True)

    async def _stage(self, write: Write, drafts: list[Draft]) -> list[str]:
        """Put large files one after the other, so that one is in hand at a time; the keys."""
        keys: list[str] = []
        for draft in drafts:
            for attachment, file in draft.large.items():
                key = f"staging/{write.environment}/{draft.document['_id']}/{attachment}-{secrets.token_hex(8)}"
                keys.append(key)
                try:
                    async with asyncio.timeout(STAGE_SECONDS):
                        staged = await self._put(key, file)
                except (DependencyUnavailable, TimeoutError):
                    await self._discard(keys)
                    raise unavailable(_again(write)) from None
                draft.document["files"][attachment]["staged"] = staged
        return keys

    async def _put(self, key: str, file: InlineFile) -> dict[str, Any]:
        content = file.decoded()
        digest = await asyncio.to_thread(hashlib.sha256, content)
        await self._staging.put(key, content, len(content))
        return {"key": key, "size": len(content), "sha256": digest.hexdigest()}

    async def _discard(self, keys: Sequence[str]) -> None:
        """Delete what a refused or repeated request has staged; what can't be deleted now, the sweeper finds."""
        if keys:
            with suppress(DependencyUnavailable, TimeoutError):
                async with asyncio.timeout(DISCARD_SECONDS):
                    await self._staging.delete(keys)


def _accepting(write: Write, document: MutationDocument) -> Span:
    what = about(document["_id"], write.tenant, write.environment, document["kind"])
    return span("accept", write.traceparent, attributes=what)


def _record(record_type: RecordType, record_id: str) -> dict[str, str]:
    return {"type": record_type.name, "id": record_id}


def _place(tenant: str, record: dict[str, str]) -> str:
    return f"{tenant}/{record['type']}/{record['id']}"


def _again(write: Write) -> str:
    return f"Whether it was accepted is not known. Send the same request again with the idempotency key {write.key}."


def _unknown(write: Write) -> Problem:
    return unavailable(_again(write))
