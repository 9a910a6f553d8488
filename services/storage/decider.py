"""Gathers what decisions are made from: records, attachments, claims of uploads, bytes under `records/`. In bulk."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from services.storage.decide_changes import decide_erasure, decide_removal, decide_update
from services.storage.decide_files import decide_assign, decide_files
from services.storage.decision import (
    Decision,
    Records,
    decide_failure,
    own_records,
    owned,
    place_name,
    targets,
    uploads_of,
)
from services.storage.erasure import Erasure
from services.storage.files import FileMissing, FileStore
from services.storage.ports import Ledger, Uploads
from services.storage.together import together
from services.storage.work import Work
from shared.events import Environment
from shared.ledger import Document

log = structlog.get_logger()


@dataclass(slots=True)
class Gathered:
    """What was read for a batch, by id."""

    records: Records
    attachments: Mapping[str, Document] = field(default_factory=dict)  # that are to be removed
    uploads: Mapping[str, Document] = field(default_factory=dict)  # as the claims left them


class Decider:
    """Makes decisions; nothing holds until the ledger has taken it."""

    def __init__(self, ledger: Ledger, files: FileStore, uploads: Uploads, erasure: Erasure) -> None:
        self._ledger, self._files, self._uploads, self._erasure = ledger, files, uploads, erasure

    async def make(self, environment: Environment, works: Sequence[Work]) -> dict[str, Decision]:
        """A decision for each, bytes put. What lacks a fetched file is left out: it stands still, so the relay, which
        asks the ledger first and pauses longer each time, has it fetched again."""
        records = await self._records(environment, [work.mutation for work in works])
        made = {work.id: _refused(work, records) for work in works}
        able = [work for work in works if made[work.id] is None]
        gathered = Gathered(records)
        removed = {name for work in able for name in work.mutation.get("remove") or []}
        gathered.attachments = await self._ledger.attachments(environment, removed) if removed else {}
        claims = {work.id: work.mutation for work in able if work.mutation["kind"] == "assign"}
        gathered.uploads = await self._uploads.claim(environment, claims.values()) if claims else {}
        found = await together(self._make_one(environment, work, gathered) for work in able)
        made |= {work.id: each for work, each in zip(able, found, strict=True)}
        return {name: each for name, each in made.items() if each is not None}

    async def _records(self, environment: Environment, mutations: Iterable[Document]) -> Records:
        others = [mutation for mutation in mutations if mutation["kind"] != "create"]
        known = {each["id"] for mutation in others for each in targets(mutation)}
        whole = any(mutation["kind"] == "update" for mutation in others)
        return await self._ledger.states(environment, known, whole) if known else {}

    async def _make_one(self, environment: Environment, work: Work, gathered: Gathered) -> Decision | None:
        mutation, records = work.mutation, own_records(work.mutation, gathered.records)
        match mutation["kind"]:
            case "update":
                return decide_update(mutation, records)
            case "remove":
                place = place_name(mutation["tenant"], mutation["record"])
                return decide_removal(mutation, records, owned(gathered.attachments.values(), place))
            case "erase":
                return await self._erase(environment, mutation, records)
            case "assign":
                mine = _own_uploads(mutation, gathered.uploads)
                files = await self._files.assign(environment, mutation, mine)
                return decide_assign(mutation, records, files, mine)
        try:
            return decide_files(mutation, records, await self._files.store(environment, work))
        except FileMissing:
            log.warning("file.missing", mutation=work.id)
            return None

    async def _erase(self, environment: Environment, mutation: Document, records: Records) -> Decision:
        place = place_name(mutation["tenant"], mutation["record"])
        attachments = await self._ledger.attachments_of(environment, place)
        staged = await self._erasure.staged(environment, place)
        return decide_erasure(mutation, records, attachments, staged, datetime.now(UTC))


def _own_uploads(mutation: Document, found: Mapping[str, Document]) -> dict[str, Document]:
    """Those that it names and that are its tenant's: nothing of a foreign one is told, not even its name."""
    named = {name: found[name] for name in uploads_of(mutation) if name in found}
    return {name: each for name, each in named.items() if each["tenant"] == mutation["tenant"]}


def _refused(work: Work, found: Records) -> Decision | None:
    """The end of what can't be done, whatever it brings: all or nothing over its records."""
    mutation, records = work.mutation, own_records(work.mutation, found)
    code = work.failure or (None if mutation["kind"] == "create" else _obstacle(mutation, records))
    decision = decide_failure(mutation, records, code) if code else None
    if decision and mutation["kind"] == "erase" and code == "record_not_found":
        # Its create has failed, and still tells the names of files and where they came from.
        decision.erase = datetime.now(UTC)
    return decision


def _obstacle(mutation: Document, records: Records) -> str | None:
    if len(records) < len(targets(mutation)):
        return "record_not_found"
    if any(record.get("removedAt") for record in records.values()):
        return "record_erased"
    expected = mutation.get("expectedVersion")
    current = records[mutation["record"]["id"]].get("version")
    return "version_conflict" if expected is not None and expected != current else None
