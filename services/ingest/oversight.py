"""What the routes for operators need from outside; all of it raises DependencyUnavailable."""

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from services.ingest.budget import Budget

Document = dict[str, Any]
STREAMS: Final = 32  # at once, a process: each holds a connection


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


@dataclass(frozen=True, slots=True)
class Oversight:
    """What operators look at."""

    trail: Trail
    standing: Standing
    streams: Budget = field(default_factory=lambda: Budget(STREAMS))
