"""In-memory ports of what operators look at."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from services.ingest.letters import Chosen as ChosenLetters
from services.ingest.letters import Replayed
from services.ingest.oversight import Oversight
from services.ingest.resends import Chosen

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
        under_way = {"mutations": counts, "callbacks": {"open": 0}, "oldest": [], "parked": []}
        return {"lag": [], **under_way, "away": [], "at": NOW}


class InMemoryResends:
    """Deliveries by environment and id; remembers what was sent again, and what was asked for."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {"live": {}, "sandbox": {}}
        self.resent: list[str] = []
        self.asked: list[Chosen] = []

    async def deliveries(self, chosen: Chosen, most: int) -> list[Document]:
        self.asked.append(chosen)
        return list(self.documents[chosen.environment].values())[:most]

    async def exhausted(self, chosen: Chosen, most: int) -> list[str]:
        self.asked.append(chosen)
        found = self.documents[chosen.environment].values()
        return [each["_id"] for each in found if each["status"] == "exhausted"][:most]

    async def sendable(self, environment: str, ids: Sequence[str]) -> list[str]:
        found = self.documents[environment]
        return [name for name in ids if name in found and found[name].get("url")]

    async def resend(self, environment: str, ids: Sequence[str]) -> int:
        self.resent += ids
        return len(ids)


class OneLetter:
    """One dead-letter topic with one letter; remembers what was replayed."""

    topic = "mutations.accepted.dlq"

    def __init__(self) -> None:
        self.replayed: list[ChosenLetters] = []

    async def topics(self) -> list[Document]:
        group = {"reason": "poison", "count": 1, "oldest": NOW, "newest": NOW}
        return [{"topic": self.topic, "total": 1, "read": 1, "groups": [group]}]

    async def letters(self, topic: str, reason: str | None, most: int) -> list[Document] | None:
        letter = {"partition": 0, "offset": 7, "at": NOW, "reason": "poison", "tries": 1, "key": None, "bytes": 1}
        return [letter | {"sourceTopic": "mutations.accepted", "excerpt": "x"}] if topic == self.topic else None

    async def replay(self, topic: str, chosen: ChosenLetters, dry_run: bool, done: Replayed) -> bool:
        if topic != self.topic:
            return False
        if not dry_run:
            self.replayed.append(chosen)
        done.letters += 1
        return True


class OversightStand:
    """All of them."""

    def __init__(self) -> None:
        self.trail, self.standing = InMemoryTrail(), StillStanding()
        self.resends, self.letters = InMemoryResends(), OneLetter()

    def ports(self) -> Oversight:
        """As the gateway takes them."""
        return Oversight(self.trail, self.standing, self.resends, self.letters)
