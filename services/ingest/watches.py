"""Clients that wait for the end of mutations: one look at the ledger for all of them, however many they are.

The ledger alone says what became of a mutation, so a client may wait at any replica, and a restart forgets nothing.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from services.ingest.budget import Budget
from services.ingest.problems import Problem
from shared import ledger as states
from shared import limits
from shared.errors import DependencyUnavailable
from shared.ledger import MutationDocument

ENDED: Final = 3
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two looks, without an event before a stream says that it lives, and of a stream's life."""

    look: float = 0.5
    alive: float = 10.0
    stream: float = limits.STREAM_SECONDS


class Statuses(Protocol):
    """The ledger, as far as waiting needs it; raises DependencyUnavailable."""

    async def statuses(self, environment: str, ids: list[str]) -> dict[str, str]:
        """By mutation id; what is not there is left out."""
        ...

    async def members(self, environment: str, ids: list[str]) -> list[MutationDocument]:
        """The documents with these ids, in their order."""
        ...


def progress(status: str) -> int:
    """How far a mutation is, from 1 to ENDED; it never goes back."""
    return ENDED if status in states.TERMINAL else 1 + states.OPEN.index(status)


class Watch:
    """What one client waits for: mutations of its tenant, by id, as they were seen last."""

    def __init__(self, environment: str, documents: Sequence[MutationDocument]) -> None:
        self.environment = environment
        self.documents = {document["_id"]: document for document in documents}
        self.over = False  # no more will be seen: the client has left, a mutation is gone, or this process is leaving
        self.waited = 0.0  # seconds
        self._woken = asyncio.Event()

    @property
    def open(self) -> list[str]:
        """The ids of those that have not ended."""
        return [name for name, document in self.documents.items() if progress(document["status"]) < ENDED]

    async def news(self, seconds: float) -> bool:
        """Wait for a change, or for the watch to be over; False when so many seconds have passed without."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(0 if self.over else seconds):
                await self._woken.wait()
        except TimeoutError:
            return self.over
        finally:
            self.waited += clock() - began
        self._woken.clear()
        return True

    async def end(self, seconds: float) -> None:
        """Wait until all have ended, the watch is over, or so many seconds have passed."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        while self.open and not self.over and await self.news(until - clock()):
            pass

    def leave(self) -> None:
        """Let it be over."""
        self.over = True
        self._woken.set()

    def changed(self, found: Mapping[str, str]) -> list[str]:
        """Those of which this look says more than was known: one that began earlier may say less."""
        return [name for name in self.open if name in found and progress(found[name]) > self._known(name)]

    def see(self, documents: Mapping[str, MutationDocument]) -> None:
        """Take over what is further than what was seen last, if it is of the same tenant."""
        for name in set(self.open) & documents.keys():
            document = documents[name]
            if document["tenant"] == self.documents[name]["tenant"] and progress(document["status"]) > self._known(
                name
            ):
                self.documents[name] = document
                self._woken.set()

    def _known(self, name: str) -> int:
        return progress(self.documents[name]["status"])


class Watches:
    """All clients of this process that wait. A look costs one query for each environment that somebody watches,
    and one more when something has changed."""

    def __init__(self, ledger: Statuses, total: int = limits.MUTATIONS_WATCHED, pace: Pace | None = None) -> None:
        self._ledger, self._budget, self.pace = ledger, Budget(total), pace or Pace()
        self._watches: set[Watch] = set()
        self._watched = asyncio.Event()
        self.closing = False

    @contextmanager
    def open(self, environment: str, tenant: str, documents: Sequence[MutationDocument]) -> Iterator[Watch]:
        """A watch that lasts as long as the block; over from its beginning when this process is leaving.

        Raises Problem over_capacity.
        """
        watch = Watch(environment, documents)
        amount = len(watch.open)
        if not self._budget.take(tenant, amount):
            raise Problem(
                "over_capacity", "Too many wait for mutations: ask without waiting.", headers={"Retry-After": "5"}
            )
        watch.over = self.closing
        self._watches.add(watch)
        self._watched.set()
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            self._budget.give_back(tenant, amount)

    @property
    def held(self) -> int:
        """Mutations that clients wait for, each as often as clients do."""
        return self._budget.held

    def __len__(self) -> int:
        return len(self._watches)

    def close(self) -> None:
        """Let all who wait go: this process is leaving, and another one knows as much."""
        self.closing = True
        for watch in self._watches:
            watch.leave()

    async def run(self) -> None:
        """Look while somebody waits, until cancelled; while the ledger is away nobody learns anything."""
        while True:
            await self._watched.wait()
            await asyncio.sleep(self.pace.look)
            try:
                await self.look()
            except DependencyUnavailable as error:
                log.warning("watches.blind", error=str(error))
            except Exception:  # of one look: this process does more than to let clients wait
                log.exception("watches.failed")
            if not self._watches:
                self._watched.clear()

    async def look(self) -> None:
        """Tell every watch what has changed."""
        for environment in states.DATABASES:
            watches = [each for each in self._watches if each.environment == environment and not each.over]
            asked = {name for each in watches for name in each.open}
            if asked:
                await self._look(environment, watches, sorted(asked))

    async def _look(self, environment: str, watches: list[Watch], asked: list[str]) -> None:
        found = await self._ledger.statuses(environment, asked)
        changed = {name for each in watches for name in each.changed(found)}
        documents = await self._ledger.members(environment, sorted(changed)) if changed else []
        by_id = {document["_id"]: document for document in documents}
        for each in watches:
            each.see(by_id)
            if not found.keys() >= set(each.open):
                each.leave()
