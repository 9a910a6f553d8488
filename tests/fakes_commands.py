"""The command handler over in-memory ports, and what an upstream system would produce."""

import asyncio
from collections.abc import Iterable
from typing import Any, BinaryIO

import orjson

from services.ingest.command_handler import CommandHandler, Received
from services.ingest.commands import TYPE
from services.ingest.intake import Intake
from services.ingest.rejections import Rejections
from shared.addresses import EgressPolicy
from shared.errors import DependencyUnavailable
from shared.events import MutationCompleted
from shared.ledger import MutationDocument
from shared.publisher import Outgoing
from tests.fakes_ingest import InMemoryBlobs, InMemoryLedger, RecordingKeeps, RecordingRelay

TRACE = f"00-{'1' * 32}-{'2' * 16}-01"


class RecordingPublisher:
    """Remembers what was announced; while `away`, nothing is."""

    def __init__(self) -> None:
        self.announced: list[MutationCompleted] = []
        self.away = False

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]:
        events = [event for _, event, _ in outgoing if isinstance(event, MutationCompleted)]
        if self.away:
            return [DependencyUnavailable("kafka") for _ in events]
        self.announced += events
        return [None for _ in events]


class GatedBlobs(InMemoryBlobs):
    """Keeps whoever puts something waiting while the gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def put(self, key: str, body: bytes | BinaryIO, size: int) -> None:
        await self.gate.wait()
        await super().put(key, body, size)


class CommandStand:
    """The real handler and acceptance over in-memory ports."""

    def __init__(self) -> None:
        self.ledger, self.relay, self.blobs = InMemoryLedger(), RecordingRelay(), GatedBlobs()
        self.publisher = RecordingPublisher()
        self.dead: list[tuple[bytes, str]] = []
        self.intake = Intake(self.ledger, self.relay, self.blobs, RecordingKeeps(self.ledger))
        self.handler = CommandHandler(self.intake, Rejections(self.ledger, self.publisher), EgressPolicy())

    def received(self, value: bytes, kind: str = TYPE, tenant: str = "acme") -> Received:
        async def dead_letter(reason: str) -> None:
            self.dead.append((value, reason))

        return Received(tenant, value, kind, TRACE, dead_letter)

    async def send(self, *commands: Any, tenant: str = "acme") -> None:
        """One batch of commands, in this order; bytes go as they are."""
        values = [one if isinstance(one, bytes) else orjson.dumps(one) for one in commands]
        await self.handler.handle([self.received(value, tenant=tenant) for value in values])

    def mutations(self, environment: str = "live") -> list[MutationDocument]:
        """What was accepted, in the order of acceptance."""
        return [one for one in self.ledger.documents[environment].values() if one["status"] == "accepted"]

    def rejected(self, environment: str = "live") -> list[MutationDocument]:
        """What was rejected."""
        return [one for one in self.ledger.documents[environment].values() if one["status"] == "rejected"]


def command(operation: str = "create", **members: Any) -> dict[str, Any]:
    """A valid command, as it is; `members` override."""
    payload: dict[str, Any] = {"firstName": "Test"} if operation in ("create", "update") else {}
    given = {"operation": operation, "recordType": "candidate", "idempotencyKey": "k1", "payload": payload}
    return given | members
