"""A mutation in hand, and the order it stands in: its turn, and who comes after it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from services.storage.ports import Ledger
from shared.events import Environment, FileError, MutationFetched, StagedObject
from shared.ledger import APPLYING, TERMINAL, Document, has_turn

Brought = dict[str, StagedObject | FileError]
_BROUGHT: TypeAdapter[Brought] = TypeAdapter(Brought)


@dataclass(slots=True)
class Work:
    """A mutation's document with what its event brought; `failure` is the code it must end with, if any."""

    mutation: Document
    brought: Brought = field(default_factory=dict)
    failure: str | None = None

    @property
    def id(self) -> str:
        """The mutation id."""
        return str(self.mutation["_id"])

    @property
    def ended(self) -> bool:
        """Whether the mutation is terminal."""
        return self.mutation["status"] in TERMINAL

    @property
    def records(self) -> list[str]:
        """The records it has a place in."""
        return [place["record"] for place in self.mutation["places"]]

    def parcel(self) -> dict[str, Any]:
        """What is stored when it is parked."""
        return {"files": _BROUGHT.dump_python(self.brought), "failure": self.failure}


def of_event(mutation: Document, event: MutationFetched) -> Work:
    """The work that an event asks for; a parked failure stays one."""
    parked = (mutation.get("parked") or {}).get("failure")
    return Work(mutation, dict(event.files), event.error.code if event.error else parked)


def of_parked(mutation: Document) -> Work:
    """The work that a parked mutation waits for."""
    parcel = mutation["parked"]
    return Work(mutation, _BROUGHT.validate_python(parcel["files"]), parcel["failure"])


class Order:
    """Reads the order from the ledger, in bulk."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def split(self, environment: Environment, works: Sequence[Work]) -> tuple[list[Work], list[Work]]:
        """(those whose turn has come or that are applying already, those that are early)."""
        waiting = [work for work in works if work.mutation["status"] != APPLYING]
        records = {record for work in waiting for record in work.records}
        smallest = await self._ledger.smallest_open(environment, records) if records else {}
        early = {work.id for work in waiting if not has_turn(work.mutation, smallest)}
        return [work for work in works if work.id not in early], [work for work in works if work.id in early]

    async def successors(self, environment: Environment, ended: Iterable[Work], in_hand: set[str]) -> list[Work]:
        """The smallest open mutation behind each place of the ended ones, if it is parked and nobody holds it here."""
        records = {record for work in ended for record in work.records}
        if not records:
            return []
        smallest = await self._ledger.smallest_open(environment, records)
        ids = {mutation for _, mutation in smallest.values()} - in_hand
        found = await self._ledger.read(environment, ids) if ids else {}
        return [of_parked(mutation) for mutation in found.values() if mutation.get("parked") and not _over(mutation)]


def _over(mutation: Document) -> bool:
    return mutation["status"] in TERMINAL
