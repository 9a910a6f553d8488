"""How the engine stands: lag of its groups, mutations under way, who is parked and why. One look serves everybody."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import TopicPartition

from services.ingest.kafka import PatientKafka
from services.ingest.mongo_backlog import accepted_at
from shared import topics, turns
from shared.consume import written_at
from shared.errors import DependencyUnavailable
from shared.ledger import LANES, OWED, PARKED, WAITING, WORKING, Database, Document, translated
from shared.offsets import Lag
from shared.peek import Peek

FRESH_SECONDS: Final = 1.5
AGE_SECONDS: Final = 1.5  # for the records from which ages are read
COUNTED: Final = 100_000  # of a lane and environment; what is more is told as so many
LOOKED_AT: Final = 500  # parked mutations, the oldest of which are shown
SHOWN: Final = 50
OLDEST_SHOWN: Final = 5  # of each lane
PARKED_MEMBERS: Final = dict.fromkeys(("tenant", "places", "parked.at"), 1)


class Standing:
    """Reads ledger and broker, at most once in FRESH_SECONDS, however many ask."""

    def __init__(
        self,
        databases: Mapping[str, Database],
        kafka: PatientKafka,
        opened: Callable[[], AbstractAsyncContextManager[Peek]],
    ) -> None:
        self._databases, self._kafka, self._opened = databases, kafka, opened
        self._looking = asyncio.Lock()
        self._last: tuple[float, dict[str, Any]] | None = None

    async def look(self) -> dict[str, Any]:
        """As GET /admin/state answers; what could not be asked is named in `away`, and is null."""
        clock = asyncio.get_running_loop().time
        async with self._looking:
            if self._last is None or clock() - self._last[0] > FRESH_SECONDS:
                # From its end: while a server is away a look lasts many seconds, and whoever waits for it shares it.
                found = await self._look()
                self._last = clock(), found
            return self._last[1]

    async def _look(self) -> dict[str, Any]:
        lag, *kept = await asyncio.gather(
            *map(
                _unless_away,
                (self._lag(), self._mutations(), self._callbacks(), self._oldest(WAITING, WORKING), self._parked()),
            )
        )
        away = (["kafka"] if lag is None else []) + (["mongodb"] if None in kept else [])
        named = dict(zip(("mutations", "callbacks", "oldest", "parked"), kept, strict=True))
        return {"lag": lag, **named, "away": away, "at": datetime.now(UTC)}

    async def _lag(self) -> list[dict[str, Any]]:
        offsets = self._kafka.offsets
        pipeline = [each for topic in topics.READERS for each in await offsets.lags(topic)]
        # Tenants may be many: of their topics only those that somebody waits on.
        commands = [each for each in await offsets.lags(topics.COMMANDS_PATTERN) if each.lag]
        found = [*pipeline, *commands]
        written = await self._written([each for each in found if each.lag])
        now = datetime.now(UTC)
        return [_shown(each, written.get(TopicPartition(each.topic, each.partition)), now) for each in found]

    async def _written(self, behind: list[Lag]) -> Mapping[TopicPartition, datetime | None]:
        """When the first record was written that a group has still to work off, where it could be read in time."""
        spans = {TopicPartition(each.topic, each.partition): (each.committed, each.committed + 1) for each in behind}
        written: dict[TopicPartition, datetime | None] = {}
        if spans:
            with suppress(DependencyUnavailable):
                async with self._opened() as peek:
                    async for records in peek.read(spans, AGE_SECONDS):
                        for record in records:
                            written.setdefault(TopicPartition(record.topic, record.partition), written_at(record))
        return written

    async def _mutations(self) -> dict[str, int]:
        counts = dict.fromkeys((*LANES, OWED), 0)
        for database in self._databases.values():
            for lane in counts:
                async with translated():
                    counts[lane] += await database.mutations.count_documents({"lane": lane}, limit=COUNTED)
        return {"open": sum(counts[lane] for lane in LANES)} | counts

    async def _callbacks(self) -> dict[str, int]:
        count = 0
        for database in self._databases.values():
            async with translated():
                count += await database.deliveries.count_documents({"status": "pending"}, limit=COUNTED)
        return {"open": count}

    async def _oldest(self, *lanes: str) -> list[dict[str, Any]]:
        """The first of each lane by the time in their ids; the index of lanes answers alone."""
        found: list[dict[str, Any]] = []
        for lane in lanes:
            of_lane: list[tuple[str, Document]] = []
            for name, database in self._databases.items():
                async with translated():
                    first = await (await database.mutations.aggregate(_first_of(lane))).to_list()
                of_lane += [(name, each) for each in first]
            of_lane.sort(key=lambda one: str(one[1]["_id"]))
            found += [_under_way(name, lane, each) for name, each in of_lane[:OLDEST_SHOWN]]
        return found

    async def _parked(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for name, database in self._databases.items():
            async with translated():
                parked = await database.mutations.find({"lane": PARKED}, PARKED_MEMBERS).limit(LOOKED_AT).to_list()
            oldest = sorted(parked, key=lambda one: str(one["_id"]))[:SHOWN]
            records = {place["record"] for each in oldest for place in each["places"]}
            smallest = await turns.smallest_open(database, records) if records else {}
            found += [_waiting(name, each, smallest) for each in oldest]
        return sorted(found, key=lambda one: str(one["mutationId"]))[:SHOWN]


async def _unless_away(asked: Any) -> Any:
    try:
        return await asked
    except DependencyUnavailable:
        return None


def _shown(lag: Lag, written: datetime | None, now: datetime) -> dict[str, Any]:
    """The age is that of the oldest record that is not worked off; 0 without any, null where it could not be read."""
    age = max((now - written).total_seconds(), 0.0) if written else None
    return lag._asdict() | {"lag": lag.lag, "ageSeconds": 0.0 if not lag.lag else age}


def _first_of(lane: str) -> list[Document]:
    return [
        {"$match": {"lane": lane}},
        {"$limit": COUNTED},
        {"$project": {"tenant": 1}},
        {"$sort": {"_id": 1}},
        {"$limit": OLDEST_SHOWN},
    ]


def _under_way(environment: str, lane: str, document: Document) -> dict[str, Any]:
    name = document["_id"]
    since = accepted_at(name)
    return {"environment": environment, "tenant": document["tenant"], "mutationId": name, "lane": lane, "since": since}


def _waiting(environment: str, document: Document, smallest: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    for place in document["places"]:
        sequence, mutation = smallest.get(place["record"], (place["sequence"], ""))
        if sequence < place["sequence"]:
            why = f"{mutation} of the same record is not done: it is number {sequence}, this one {place['sequence']}."
            break
    else:
        why = "Its turn has come; it is taken up within minutes."
    return {
        "environment": environment,
        "tenant": document["tenant"],
        "mutationId": document["_id"],
        "since": (document.get("parked") or {}).get("at"),
        "why": why,
    }
