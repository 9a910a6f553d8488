"""Clients: random writes on few records; whoever gets no answer asks again under the same key."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from services.ingest.drafts import Draft, Drafter, Write
from services.ingest.inline_files import InlineFile
from services.ingest.intake import Accepted, Intake
from services.ingest.problems import Problem
from services.ingest.record_types import RECORD_TYPES, RecordType
from services.ingest.schemas import AssignedFile, AssignPayload, FilePayload
from shared.events import Kind
from tests.simulation.faults import DEADLINE, REPEATED, Faults
from tests.simulation.outside import BAD, BROKEN_URL

if TYPE_CHECKING:
    from tests.simulation.world import World

TENANT: Final = "acme"
CALLBACK: Final = "https://hooks.test/in"
TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATIENCE: Final = 15.0
Ask = Callable[[Intake, Write], Awaitable[Accepted]]
Target = tuple[RecordType, str]


class ShortLived(Drafter):
    """Gives some mutations a deadline of seconds."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def drafted(self, write: Write, key: str, kind: Kind, record: dict[str, str]) -> Draft:
        draft = super().drafted(write, key, kind, record)
        if self._faults.strikes(DEADLINE, 0.15):
            draft.document["deadline"] = draft.document["createdAt"] + timedelta(
                seconds=self._faults.rng.uniform(1, 20)
            )
        return draft


class Clients:
    """A few clients at once, who know each other's records and files."""

    def __init__(self, world: "World") -> None:
        self._world, self._rng = world, world.rng
        self._records: list[Target] = []
        self._files: list[str] = []
        self._uploads: list[str] = []
        self._number = 0

    async def run(self) -> None:
        """Until all have said what they want."""
        for _ in range(self._rng.choice((0, 1, 2))):
            self._upload()
        await self._send(self._create())
        clients = (self._client(self._rng.randint(2, 5)) for _ in range(self._rng.randint(1, 3)))
        await asyncio.gather(*clients)

    async def write_once_more(self) -> None:
        """In peace: whatever has happened to a record, it takes another write."""
        for target in self._records:
            await self._send(self._update(target))

    async def _client(self, count: int) -> None:
        pause = self._rng.choice((0.0, 0.3, 3.0))
        for _ in range(count):
            await asyncio.sleep(self._rng.uniform(0, pause))
            await self._send(self._any())

    def _any(self) -> Ask:
        kinds: list[Callable[[], Ask]] = [self._append] * 4 + [self._remove] * 3 + [self._update] * 2
        kinds += [self._create, self._create_many, self._erase] + [self._assign] * (5 if self._uploads else 0)
        return self._rng.choice(kinds if self._records else [self._create])()

    async def _send(self, ask: Ask) -> None:
        self._number += 1
        key, rng = f"key-{self._number}", self._rng
        versions = (rng.randint(1, 4),) if rng.random() < 0.1 else None
        url = CALLBACK if rng.random() < 0.7 else None
        by_topic = rng.random() < 0.3 or not self._world.faults.active
        write = Write("live", TENANT, key, key, url, TRACE, by_topic, versions)
        again = 1 + self._world.faults.strikes(REPEATED, 0.2)
        for _ in range(60):
            try:
                accepted = await self._try_once(ask, write)
            except Problem as problem:
                if problem.code != "unavailable":
                    return
                accepted = None
            if accepted is not None:
                self._learn(key, accepted)
                again -= 1
                if not again:
                    return
            await asyncio.sleep(rng.uniform(0.1, 2.0))
        self._world.wrong(f"{key} was never answered")

    async def _try_once(self, ask: Ask, write: Write) -> Accepted | None:
        living = [each for each in self._world.intakes.values() if each[0].alive]
        if not living:
            return None
        process, intake = self._rng.choice(living)
        asked = process.spawn_quietly(ask(intake, write))
        await asyncio.wait([asked], timeout=PATIENCE)
        return asked.result() if asked.done() else None

    def _learn(self, key: str, accepted: Accepted) -> None:
        ids = [document["_id"] for document in accepted.mutations]
        if self._world.told.setdefault(key, ids) != ids:
            self._world.wrong(f"{key} got two different answers: {self._world.told[key]}, {ids}")
        for document in accepted.mutations:
            self._files += document.get("fileIds", [])
            if document["kind"] == "create":
                target = (RECORD_TYPES[document["record"]["type"]], document["record"]["id"])
                self._records += [target] if target not in self._records else []

    def _create(self) -> Ask:
        kind = self._rng.choice(list(RECORD_TYPES.values()))
        payload = self._new_record(kind)
        return lambda intake, write: intake.create(write, kind, payload)

    def _create_many(self) -> Ask:
        kind = self._rng.choice(list(RECORD_TYPES.values()))
        payloads = [self._new_record(kind) for _ in range(2)]
        return lambda intake, write: intake.create_many(write, kind, payloads)

    def _new_record(self, kind: RecordType) -> Any:
        files = self._some_files(kind) if self._rng.random() < 0.6 else {}
        members: dict[str, Any] = {"external_id": f"new {self._number}", **files}
        return kind.create.model_construct(None, **members)

    def _append(self) -> Ask:
        kind, name = self._rng.choice(self._records)
        payload = kind.attachments.model_construct(**self._some_files(kind))
        return lambda intake, write: intake.append(write, kind, name, payload)

    def _update(self, target: Target | None = None) -> Ask:
        kind, name = target or self._rng.choice(self._records)
        values: dict[str, Any] = {"external_id": f"update {self._number}", "locale": self._rng.choice(("de", None))}
        payload = kind.update.model_construct(_fields_set=set(values), **values)
        return lambda intake, write: intake.update(write, kind, name, payload)

    def _remove(self) -> Ask:
        kind, name = self._rng.choice(self._records)
        known = [*self._files, "00000000-0000-7000-8000-000000000000"]
        wanted = self._rng.sample(known, min(len(known), self._rng.randint(1, 3)))
        return lambda intake, write: intake.remove(write, kind, name, wanted)

    def _erase(self) -> Ask:
        kind, name = self._rng.choice(self._records)
        return lambda intake, write: intake.erase(write, kind, name)

    def _assign(self) -> Ask:
        chosen = {kind.name: name for kind, name in self._rng.sample(self._records, min(len(self._records), 2))}
        wanted = self._rng.sample(self._uploads, self._rng.randint(1, len(self._uploads)))
        files = [AssignedFile.model_construct(id=name, type="CV", name=None) for name in wanted]
        records = {f"{kind}_id": name for kind, name in chosen.items()}
        payload = AssignPayload.model_construct(None, attachments=files, **records)
        return lambda intake, write: intake.assign(write, payload)

    def _some_files(self, kind: RecordType) -> dict[str, Any]:
        member = "other_attachments" if kind.name == "candidate" else "attachments"
        return {member: [self._file() for _ in range(self._rng.choice((1, 1, 2)))]}

    def _file(self) -> FilePayload:
        name, content = f"file-{self._rng.getrandbits(32):x}.txt", b"inline %x" % self._rng.getrandbits(32)
        match self._rng.choice(("url", "url", "url", "inline", "inline", "large", "broken", "bad")):
            case "url":
                return FilePayload.model_construct(filename=name, url=f"https://files.test/{name}")
            case "broken":
                return FilePayload.model_construct(filename=name, url=BROKEN_URL)
            case "large":
                data = InlineFile("text/plain", len(content), None, content)
            case kind:
                content = BAD + content if kind == "bad" else content
                data = InlineFile("text/plain", len(content), _base64(content), None)
        return FilePayload.model_construct(filename=name, data=data)

    def _upload(self) -> None:
        """A temporary upload, as ingest leaves it."""
        world, rng = self._world, self._rng
        number = rng.getrandbits(62)
        name, content = f"00000000-0000-7000-8000-{number % 16**12:012x}", b"upload %x" % number
        key = f"staging/live/uploads/{name}/{number:016x}"
        until = world.now() + timedelta(seconds=rng.choice((8, 86_400)))
        document = {
            "_id": name, "tenant": TENANT, "type": "unassigned", "filename": "plan.txt", "extension": "txt",
            "contentType": "text/plain", "match": "match", "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(), "key": key, "createdAt": world.now(),
            "expiresAt": until, "keepUntil": until, "claimedBy": None,
        }  # fmt: skip
        world.server.insert("engine_live.uploads", document)
        world.blobs.objects[key] = (content, None, world.now())
        self._uploads.append(name)


def _base64(content: bytes) -> bytes:
    return base64.b64encode(content)
