"""A mutation in hand, and the order it stands in: its turn, and who comes after it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from services.storage.ports import Ledger
from shared import tracing
from shared.events import Environment, FileError, MutationFetched, StagedObject
from shared.ledger import APPLYING, TERMINAL, Document
from shared.turns import has_turn

Brought = dict[str, StagedObject | FileError]
_BROUGHT: TypeAdapter[Brought] = TypeAdapter(Brought)


@dataclass(slots=True)
class Work:
    """A mutation's document with what its event brought; `failure` is the code it must end with, if any."""

    mutation: Document
    brought: Brought = field(default_factory=dict)
    failure: str | None = None
    times: dict[str, Any] = field(default_factory=dict)  # of its way so far, by step
    came: str = ""  # the traceparent of its event

    @property
    def traceparent(self) -> str:
        """The trace to go on with: what its event came with, or what the ledger keeps."""
        return self.came or self.mutation.get("traceparent", "")

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
        brought = {"files": _BROUGHT.dump_python(self.brought), "failure": self.failure}
        return brought | {"times": self.times, "at": datetime.now(UTC)}


def of_event(mutation: Document, event: MutationFetched, traceparent: str = "") -> Work:
    """The work that an event asks for; a parked failure stays one."""
    parked = (mutation.get("parked") or {}).get("failure")
    times = event.times.model_dump(exclude_none=True) if event.times else {}
    return Work(mutation, dict(event.files), event.error.code if event.error else parked, times, traceparent)


def of_parked(mutation: Document) -> Work:
    """The work that a parked mutation waits for."""
    parcel = mutation["parked"]
    return Work(mutation, _BROUGHT.validate_python(parcel["files"]), parcel["failure"], parcel.get("times") or {})


@contextmanager
def steps(name: str, environment: Environment, works: Sequence[Work]) -> Iterator[dict[str, str]]:
    """A span for each of these works, which are worked off together; their traceparents, by mutation id."""
    if not tracing.on():
        yield {}
        return
    batch = tracing.CURRENT.get().traceparent
    with ExitStack() as stack:
        yield {work.id: stack.enter_context(_step(name, environment, work, batch)).traceparent for work in works}


def _step(name: str, environment: Environment, work: Work, batch: str) -> tracing.Span:
    what = tracing.about(work.id, work.mutation["tenant"], environment, work.mutation["kind"])
    return tracing.span(name, work.traceparent, attributes=what, links=[batch])


class Order:
    """The open mutations of records, while one batch follows them: a long queue is read once, not for each of it.

    What was read stays right but for those that have ended since: whoever is accepted later comes behind.
    """

    def __init__(self, ledger: Ledger, environment: Environment) -> None:
        self._ledger, self._environment = ledger, environment
        self._open: dict[str, list[tuple[int, str]]] = {}  # by record, in their order

    async def split(self, works: Sequence[Work], anew: bool = False) -> tuple[list[Work], list[Work]]:
        """(those whose turn has come or that are applying already, those that are early); `anew`: as it is now."""
        waiting = [work for work in works if work.mutation["status"] != APPLYING]
        smallest = await self._smallest({record for work in waiting for record in work.records}, anew)
        early = {work.id for work in waiting if not has_turn(work.mutation, smallest)}
        return [work for work in works if work.id not in early], [work for work in works if work.id in early]

    async def successors(self, ended: Iterable[Work], in_hand: set[str]) -> list[Work]:
        """The smallest open mutation behind each place of the ended ones, if it is parked and nobody holds it here."""
        over = {work.id for work in ended}
        records = {record for work in ended for record in work.records}
        for record in records & self._open.keys():
            self._open[record] = [each for each in self._open[record] if each[1] not in over]
        found, stale = await self._first(records, in_hand, anew=False)
        if stale:  # somebody else has ended them meanwhile
            found, _ = await self._first(records, in_hand, anew=True)
        return [of_parked(mutation) for mutation in found if mutation.get("parked")]

    async def _first(self, records: set[str], in_hand: set[str], anew: bool) -> tuple[list[Document], bool]:
        """The documents of the first ones that are open and in nobody's hand here, and whether one is open no more."""
        ids = {mutation for _, mutation in (await self._smallest(records, anew)).values()} - in_hand
        found = await self._ledger.read(self._environment, ids) if ids else {}
        still = [mutation for mutation in found.values() if not _over(mutation)]
        return still, len(still) < len(ids)

    async def _smallest(self, records: set[str], anew: bool) -> dict[str, tuple[int, str]]:
        unknown = {record for record in records if anew or not self._open.get(record)}
        if unknown:
            self._open |= await self._ledger.open_in_order(self._environment, unknown)
        return {record: self._open[record][0] for record in records if self._open[record]}


def _over(mutation: Document) -> bool:
    return mutation["status"] in TERMINAL
