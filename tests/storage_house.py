"""A storage service without its process, on a real database and a bucket in memory."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.storage.decider import Decider
from services.storage.erasure import Erasure
from services.storage.files import FileStore
from services.storage.handler import StorageHandler
from services.storage.ledger import MongoLedger
from services.storage.traces import MongoTraces
from services.storage.uploads import MongoUploads
from shared.content.judge import judge
from shared.events import MutationCompleted, MutationFetched
from shared.ledger import databases, open_client
from tests.factories import fetched
from tests.fakes import InMemoryBlobs


@dataclass
class RecordingPublisher:
    """What storage published, in order."""

    sent: list[MutationFetched | MutationCompleted] = field(default_factory=list)

    async def fetched(self, again: Iterable[tuple[MutationFetched, str]]) -> None:
        self.sent += [event for event, _ in again]

    async def completed(self, ended: Iterable[tuple[MutationCompleted, str]]) -> None:
        self.sent += [event for event, _ in ended]


@dataclass
class House:
    """A storage service without its process."""

    database: Any
    ledger: MongoLedger
    blobs: InMemoryBlobs
    publisher: RecordingPublisher
    handler: StorageHandler
    decider: Decider
    erasure: Erasure
    uploads: MongoUploads
    traces: MongoTraces

    async def insert(self, *documents: dict[str, Any]) -> None:
        await self.database.mutations.insert_many([dict(document) for document in documents])

    async def work_off(self, document: dict[str, Any]) -> dict[str, Any]:
        """Accept it and bring its event; its outcome."""
        await self.insert(document)
        await self.handler.handle([fetched(document)])
        return await self.outcome(document)

    async def status(self, document: dict[str, Any]) -> str:
        return str((await self.database.mutations.find_one({"_id": document["_id"]}))["status"])

    async def outcome(self, document: dict[str, Any]) -> dict[str, Any]:
        return dict((await self.database.mutations.find_one({"_id": document["_id"]}))["outcome"])

    async def attachment(self, name: str) -> dict[str, Any]:
        return dict(await self.database.attachments.find_one({"_id": name}))

    async def record(self, document: dict[str, Any]) -> dict[str, Any]:
        return dict(await self.database.records.find_one({"_id": document["record"]["id"]}))

    def ended(self) -> list[str]:
        return [event.mutation_id for event in self.publisher.sent if isinstance(event, MutationCompleted)]

    def over(self, ledger: Any = None, traces: Any = None, blobs: Any = None) -> StorageHandler:
        """Another worker in this house, with other ways to the same things."""
        ledger, blobs = ledger or self.ledger, blobs or self.blobs
        erasure = Erasure(ledger, traces or self.traces, blobs)
        decider = Decider(ledger, FileStore(blobs, judge), self.uploads, erasure)
        return StorageHandler(ledger, blobs, decider, erasure, self.publisher)


@asynccontextmanager
async def open_house(mongodb: str) -> AsyncIterator[House]:
    """Everything wired as in the service; the database is the environment `live`."""
    client = open_client(mongodb, 60.0)
    ledger, blobs, publisher = MongoLedger(client), InMemoryBlobs(), RecordingPublisher()
    uploads, traces = MongoUploads(client), MongoTraces(client)
    erasure = Erasure(ledger, traces, blobs)
    decider = Decider(ledger, FileStore(blobs, judge), uploads, erasure)
    handler = StorageHandler(ledger, blobs, decider, erasure, publisher)
    yield House(databases(client)["live"], ledger, blobs, publisher, handler, decider, erasure, uploads, traces)
    await client.close()
