"""In-memory ports of ingest, and an HTTP client on its real application."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, cast

import httpx2

from services.ingest.api.app import build
from services.ingest.api.body import BodyReader
from services.ingest.api.gateway import Gateway
from services.ingest.intake import Intake
from services.ingest.ledger import TOLD, TOLD_OF_FILES
from services.ingest.rates import RateLimits
from services.ingest.uploads import UploadRules, Uploads, Usage
from services.ingest.watches import Watches
from shared.addresses import EgressPolicy
from shared.content.judge import judge_bytes
from shared.errors import DependencyUnavailable
from shared.ledger import OPEN, MutationDocument
from shared.resets import Reset
from shared.tenants import KeyHolder
from shared.uploads import UploadDocument
from tests.fakes_admin import InMemoryRegistry, InMemoryTopics
from tests.fakes_lists import InMemoryLists
from tests.fakes_oversight import OversightStand

KEYS = {
    "key-of-acme": KeyHolder("acme"),
    "key-of-other": KeyHolder("other"),
    "key-of-admin": KeyHolder(None),
}


def code_of(answer: httpx2.Response) -> str:
    """The code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"].rpartition(":")[2])


class InMemoryKeys:
    """Knows the keys of KEYS but the `revoked` ones."""

    def __init__(self) -> None:
        self.away, self.revoked = False, set[str]()

    async def authenticate(self, api_key: str) -> KeyHolder | None:
        if self.away:
            raise DependencyUnavailable("mongodb")
        return None if api_key in self.revoked else KEYS.get(api_key)


class InMemoryLedger:
    """Claims in a dictionary; with `loses_answers` a claim inserts, but nobody learns of it."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, MutationDocument]] = {"live": {}, "sandbox": {}}
        self.records: set[tuple[str, str, str, str]] = set()
        self.versions: dict[tuple[str, str, str, str], int] = {}
        self.away = False
        self.loses_answers = False
        self.looks: list[list[str]] = []  # the ids of each look at statuses
        self.reads: list[list[str]] = []  # the ids of each read of whole documents

    async def claim(self, environment: str, document: MutationDocument, records: list[str]) -> MutationDocument:
        held = await self.find(environment, document["tenant"], document["key"])
        if held:
            return held
        sequences = {record: self._next(environment, record) for record in records}
        document["places"] = [{"record": record, "sequence": n} for record, n in sequences.items()]
        self.documents[environment][document["_id"]] = document
        if self.loses_answers:
            raise DependencyUnavailable("mongodb")
        return document

    async def claim_array(
        self, environment: str, head: MutationDocument, members: list[MutationDocument]
    ) -> MutationDocument:
        held = await self.find(environment, head["tenant"], head["key"])
        if held:
            return held
        for document in [head, *members]:
            self.documents[environment][document["_id"]] = document
        for member in members:
            record = f"{member['tenant']}/{member['record']['type']}/{member['record']['id']}"
            member["places"] = [{"record": record, "sequence": 1}]
        return head

    async def keep_rejection(self, environment: str, document: MutationDocument) -> None:
        self._reach()
        self.documents[environment].setdefault(document["_id"], document)

    async def find(self, environment: str, tenant: str, key: str) -> MutationDocument | None:
        self._reach()
        all_documents = self.documents[environment].values()
        # Copies, as from a server: what changes later has not changed in what was read before.
        return next((_told(one) for one in all_documents if one["tenant"] == tenant and one["key"] == key), None)

    async def members(self, environment: str, ids: list[str]) -> list[MutationDocument]:
        self._reach()
        self.reads.append(ids)
        found = self.documents[environment]
        return [_told(found[one]) for one in ids if one in found]

    async def statuses(self, environment: str, ids: list[str]) -> dict[str, str]:
        self.looks.append(ids)
        self._reach()
        found = self.documents[environment]
        return {one: found[one]["status"] for one in ids if one in found}

    async def record_known(self, environment: str, tenant: str, record_type: str, record_id: str) -> bool:
        self._reach()
        if (environment, tenant, record_type, record_id) in self.records:
            return True
        record = {"type": record_type, "id": record_id}
        creates = [one for one in self.documents[environment].values() if one["kind"] == "create"]
        of_tenant = [one for one in creates if one["tenant"] == tenant and one["status"] in OPEN]
        return any(one.get("record") == record for one in of_tenant)

    async def record_version(self, environment: str, tenant: str, record_type: str, record_id: str) -> int | None:
        self._reach()
        return self.versions.get((environment, tenant, record_type, record_id))

    def _next(self, environment: str, record: str) -> int:
        places = [place for one in self.documents[environment].values() for place in one.get("places", ())]
        return max((place["sequence"] for place in places if place["record"] == record), default=0) + 1

    def _reach(self) -> None:
        if self.away:
            raise DependencyUnavailable("mongodb")


def _told(document: MutationDocument) -> MutationDocument:
    """As the real ledger reads it: without its payload."""
    files = {name: {part: file.get(part) for part in TOLD_OF_FILES} for name, file in document.get("files", {}).items()}
    told = {name: value for name, value in document.items() if name in ("_id", *TOLD)}
    return cast(MutationDocument, told | {"files": files})


class RecordingKeeps:
    """Remembers which uploads were kept until when, and how many mutations the ledger held at that moment."""

    def __init__(self, ledger: InMemoryLedger) -> None:
        self.kept: list[tuple[str, str, list[str], datetime, int]] = []
        self.away = False
        self._ledger = ledger

    async def keep(self, environment: str, tenant: str, uploads: Sequence[str], until: datetime) -> None:
        if self.away:
            raise DependencyUnavailable("mongodb")
        self.kept.append((environment, tenant, list(uploads), until, len(self._ledger.documents[environment])))


class RecordingRelay:
    """Remembers what was offered."""

    def __init__(self) -> None:
        self.offered: list[tuple[str, MutationDocument]] = []

    def offer(self, environment: str, document: MutationDocument) -> None:
        self.offered.append((environment, document))


class InMemoryBlobs:
    """Objects in a dictionary; fails from the `fails_from`th put on."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fails_from = 1_000_000
        self.puts = 0

    async def put(self, key: str, body: bytes | BinaryIO, size: int) -> None:
        self.puts += 1
        if self.puts >= self.fails_from:
            raise DependencyUnavailable("s3")
        content = body if isinstance(body, bytes) else os.pread(body.fileno(), size + 1, 0)
        assert len(content) == size
        self.objects[key] = content

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    async def presign_get(self, key: str, seconds: int, filename: str, content_type: str) -> str:
        return f"http://127.0.0.1:1/{key}?seconds={seconds}&name={filename}&type={content_type}"


@dataclass
class InMemoryReads:
    """Documents by environment, as the other services would have written them."""

    ledger: InMemoryLedger
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stored: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def record(self, environment: str, tenant: str, record_type: str, record_id: str) -> dict[str, Any] | None:
        found = (one for where, one in self.records if where == environment and one["tenant"] == tenant)
        return next((one for one in found if (one["type"], one["_id"]) == (record_type, record_id)), None)

    async def attachments(self, environment: str, record: str) -> list[dict[str, Any]]:
        return [
            one for where, one in self.stored
            if where == environment and any(owner["record"] == record for owner in one["owners"])
        ]  # fmt: skip

    async def attachment(self, environment: str, tenant: str, attachment_id: str) -> dict[str, Any] | None:
        found = (one for where, one in self.stored if where == environment and one["tenant"] == tenant)
        return next((one for one in found if one["_id"] == attachment_id), None)

    async def pending_key(self, environment: str, tenant: str, attachment_id: str) -> str | None:
        documents = self.ledger.documents[environment].values()
        return next((one["key"] for one in documents if attachment_id in one.get("fileIds", ())), None)

    async def deliveries(self, environment: str, tenant: str, mutation_ids: list[str]) -> dict[str, dict[str, Any]]:
        return {one: self.sent[one] for one in mutation_ids if one in self.sent}


class InMemoryResets:
    """The latest request of each tenant."""

    def __init__(self) -> None:
        self.asked: dict[str, Reset] = {}

    async def request(self, tenant: str, at: datetime) -> None:
        self.asked[tenant] = Reset(requestedAt=at, completedAt=None)

    async def latest(self, tenant: str) -> Reset | None:
        return self.asked.get(tenant)


class InMemoryUploads:
    """Documents in a dictionary by environment; with `loses_answers` an insert arrives, but nobody learns of it."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, UploadDocument]] = {"live": {}, "sandbox": {}}
        self.loses_answers = False

    async def usage(self, environment: str, tenant: str, now: datetime) -> Usage:
        mine = [one for one in self._alive(environment, now) if one["tenant"] == tenant]
        await asyncio.sleep(0)  # somebody else comes in between
        ends = [one["expiresAt"] for one in mine]
        return Usage(len(mine), sum(one["size"] for one in mine), min(ends, default=None))

    async def insert(self, environment: str, documents: Sequence[UploadDocument]) -> None:
        self.documents[environment] |= {one["_id"]: one for one in documents}
        if self.loses_answers:
            raise DependencyUnavailable("mongodb")

    async def forget(self, environment: str, ids: Sequence[str]) -> None:
        for one in ids:
            self.documents[environment].pop(one, None)

    async def find(self, environment: str, tenant: str, upload_id: str, now: datetime) -> dict[str, Any] | None:
        mine = (one for one in self._alive(environment, now) if (one["_id"], one["tenant"]) == (upload_id, tenant))
        return cast(dict[str, Any] | None, next(mine, None))

    def _alive(self, environment: str, now: datetime) -> list[UploadDocument]:
        kept = self.documents[environment].values()
        return [one for one in kept if "endedAt" not in one and max(one["expiresAt"], one["keepUntil"]) > now]


class IngestStand:
    """The real application over in-memory ports; `later` puts the clock of uploads forward."""

    def __init__(
        self,
        bodies: BodyReader | None = None,
        rules: UploadRules | None = None,
        real_uploads: Uploads | None = None,
        rates: RateLimits | None = None,
        watches: Callable[[InMemoryLedger], Watches] = Watches,
    ) -> None:
        self.uploads, self.later = InMemoryUploads(), timedelta()
        self.keys, self.ledger = InMemoryKeys(), InMemoryLedger()
        self.relay, self.blobs = RecordingRelay(), InMemoryBlobs()
        self.reads, self.keeps = InMemoryReads(self.ledger), RecordingKeeps(self.ledger)
        self.resets = InMemoryResets()
        self.registry, self.topics = InMemoryRegistry(), InMemoryTopics()
        self.oversight = OversightStand()
        self.ready, self.stuck = True, ""
        self.bodies = bodies or BodyReader()
        self.watches = watches(self.ledger)
        self.gateway = Gateway(
            keys=self.keys,
            rates=rates or RateLimits(),
            bodies=self.bodies,
            intake=Intake(self.ledger, self.relay, self.blobs, self.keeps),
            ledger=self.ledger,
            reads=self.reads,
            lists=InMemoryLists(self.reads.records, self.reads.stored),
            watches=self.watches,
            downloads=self.blobs,
            uploads=real_uploads
            or Uploads(self.uploads, self.blobs, judge_bytes, rules, now=lambda: datetime.now(UTC) + self.later),
            resets=self.resets,
            registry=self.registry,
            topics=self.topics,
            oversight=self.oversight.ports(),
            policy=EgressPolicy(),
            ready=lambda: self.ready,
            health=lambda: (not self.stuck, f"stuck: {self.stuck}\n" if self.stuck else "ok\n"),
        )
        self.app = build(self.gateway)

    @asynccontextmanager
    async def client(self, key: str | None = "key-of-acme", **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
        """A client with a tenant's key; a bug in the application shows as 500, as it would over a socket."""
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        sent = headers | ({"x-api-key": key} if key else {})
        async with httpx2.AsyncClient(transport=transport, base_url="http://ingest", headers=sent) as client:
            yield client

    def mutations(self, environment: str = "live") -> list[MutationDocument]:
        """What the ledger holds, heads left out."""
        return [one for one in self.ledger.documents[environment].values() if one["status"] != "batch"]
