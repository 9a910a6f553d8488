"""What the routes for operators need from outside; all of it raises DependencyUnavailable."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from services.ingest.budget import Budget
from services.ingest.letters import Chosen as ChosenLetters
from services.ingest.letters import Replayed
from services.ingest.resends import Chosen

Document = dict[str, Any]
STREAMS: Final = 32  # a process: each holds a connection; one share of it (limits.TENANT_SHARE) is for all who watch


class Trail(Protocol):
    """Mutations and their callbacks, whatever their tenant."""

    async def search(self, sought: str) -> list[tuple[str, Document]]:
        """(environment, document) of the mutations with this id of any kind, newest first."""
        ...

    async def mutation(self, environment: str, mutation_id: str) -> Document | None:
        """The whole document, without fields of records and bytes of files."""
        ...

    async def behind(self, environment: str, document: Document) -> str | None:
        """The open mutation that this one waits for."""
        ...

    async def delivery(self, environment: str, mutation_id: str) -> Document | None:
        """Its delivery, with its attempts in order as `attempts`."""
        ...


class Standing(Protocol):
    """How the engine stands."""

    async def look(self) -> Document:
        """As GET /admin/state answers; what is away is named there, and raises nothing."""
        ...


class Resends(Protocol):
    """Callbacks of all tenants."""

    async def deliveries(self, chosen: Chosen, most: int) -> list[Document]:
        """Those with their attempts, the latest ended mutations first."""
        ...

    async def exhausted(self, chosen: Chosen, most: int) -> list[str]:
        """Ids of those that can be sent again, the longest ended mutations first."""
        ...

    async def sendable(self, environment: str, ids: Sequence[str]) -> list[str]:
        """Which of these can be sent now."""
        ...

    async def resend(self, environment: str, ids: Sequence[str]) -> int:
        """Have each attempted once more, now; how many will be."""
        ...


class Letters(Protocol):
    """Dead letters."""

    async def topics(self) -> list[Document]:
        """Every topic that holds letters, with its letters by reason."""
        ...

    async def letters(self, topic: str, reason: str | None, most: int) -> list[Document] | None:
        """The newest letters of a topic first; None when there is no such topic."""
        ...

    async def replay(self, topic: str, chosen: ChosenLetters, dry_run: bool, done: Replayed) -> bool:
        """Publish letters to the topic they came from and note in `done` what was done; False without such a topic."""
        ...


@dataclass(frozen=True, slots=True)
class Oversight:
    """What operators look at, and what they do about it."""

    trail: Trail
    standing: Standing
    resends: Resends
    letters: Letters
    streams: Budget = field(default_factory=lambda: Budget(STREAMS))
