"""In-memory ports of what operators look at."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from services.ingest.oversight import Oversight

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Document = dict[str, Any]


class InMemoryTrail:
    """Documents by environment and id, as a ledger would hold them; knows them by id and key only."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {"live": {}, "sandbox": {}}
        self.deliveries: dict[str, Document] = {}
        self.behinds: dict[str, str] = {}

    async def search(self, sought: str) -> list[tuple[str, Document]]:
        both = [(name, each) for name, documents in self.documents.items() for each in documents.values()]
        return [(name, each) for name, each in both if sought in (each["_id"], each["key"])]

    async def mutation(self, environment: str, mutation_id: str) -> Document | None:
        return self.documents[environment].get(mutation_id)

    async def behind(self, environment: str, document: Document) -> str | None:
        return self.behinds.get(document["_id"])

    async def delivery(self, environment: str, mutation_id: str) -> Document | None:
        return self.deliveries.get(mutation_id)


class StillStanding:
    """Nothing is under way; counts how often it was looked at, and tells `on_look`."""

    def __init__(self) -> None:
        self.looks = 0
        self.on_look: Callable[[], None] = lambda: None

    async def look(self) -> Document:
        self.looks += 1
        self.on_look()
        counts = dict.fromkeys(("open", "waiting", "working", "parked", "owed"), 0)
        return {"lag": [], "mutations": counts, "parked": [], "away": [], "at": NOW}


class OversightStand:
    """All of them."""

    def __init__(self) -> None:
        self.trail, self.standing = InMemoryTrail(), StillStanding()

    def ports(self) -> Oversight:
        """As the gateway takes them."""
        return Oversight(self.trail, self.standing)
