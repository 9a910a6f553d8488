"""Looks while the faults happen: does a terminal state ever change, does a commit ever pass unfinished work?"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from tests.torture.facts import READERS, TERMINAL, Json, open_database, open_reader, read_to_the_end
from tests.torture.load import Write
from tests.torture.world import World

EVERY_SECONDS: Final = 2.0
SAMPLE: Final = 100  # mutations a look
FETCHED: Final = "mutations.fetched"
STATE: Final = {"status": 1, "outcome": 1, "endedAt": 1, "parked": 1}


@dataclass
class Watch:
    """What was seen; `broken` in words."""

    looks: int = 0
    passed: int = 0  # events whose offset was committed and whose mutation was looked at afterwards
    broken: list[str] = field(default_factory=list)
    ended: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # (status, outcome, time of the end) by id
    # From the question to the note, so that no older answer is noted after a younger one.
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def see_states(self, found: Mapping[str, Json]) -> None:
        """Note terminal states, and those that have changed since the last time."""
        for name, mutation in found.items():
            if mutation["status"] in TERMINAL:
                state = (mutation["status"], mutation.get("outcome"), mutation.get("endedAt"))
                if self.ended.get(name, state) != state:
                    self.broken.append(f"{name} was {self.ended[name][0]} and has ended again as {state[0]}")
                self.ended[name] = state
            elif name in self.ended:
                self.broken.append(f"{name} was {self.ended.pop(name)[0]} and is {mutation['status']} again")

    def see_passed(self, passed: set[str], found: Mapping[str, Json], to_come: set[str]) -> None:
        """Note mutations that a commit has passed and that the ledger, read afterwards, holds neither terminal nor
        parked; `to_come`: an event of theirs waits behind the committed offset."""
        self.passed += len(passed)
        for name in sorted(passed & found.keys() - to_come):
            if found[name]["status"] not in TERMINAL and not found[name].get("parked"):
                self.broken.append(f"a committed offset has passed {name}, which is {found[name]['status']}")

    def see_commit(self, partition: TopicPartition, before: int, now: int) -> None:
        """Note a commit of somebody who had lost the partition: it takes the offset back. A broker that has forgotten
        everything says -1."""
        if 0 <= now < before:
            self.broken.append(f"the committed offset of {partition} went back from {before} to {now}")


class CommitWatch:
    """Follows `mutations.fetched` and what the storage group has committed of it."""

    def __init__(self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, database: Any, watch: Watch) -> None:
        self._consumer, self._admin, self._database, self._watch = consumer, admin, database, watch
        self._ahead: defaultdict[TopicPartition, dict[int, str]] = defaultdict(dict)  # ids by offset, not passed yet
        self._committed: dict[TopicPartition, int] = {}

    async def look(self) -> None:
        """Offsets first, then the topic, then the ledger: it can only be further than it was at the commit."""
        partitions = sorted(self._consumer.assignment())
        group = READERS[FETCHED]
        committed = await self._admin.list_consumer_group_offsets(group, partitions=partitions)
        await self._read()
        passed: set[str] = set()
        for partition, mine in self._ahead.items():
            until = committed[partition].offset if partition in committed else -1
            self._watch.see_commit(partition, self._committed.get(partition, -1), until)
            self._committed[partition] = until
            for offset in [each for each in mine if each < until]:
                passed.add(mine.pop(offset))
        if passed:
            query = {"_id": {"$in": sorted(passed)}}
            async with self._watch.asking:
                found = {each["_id"]: each async for each in self._database.mutations.find(query, STATE)}
                self._watch.see_states(found)
            await self._read()
            self._watch.see_passed(passed, found, {name for mine in self._ahead.values() for name in mine.values()})

    async def _read(self) -> None:
        for record in await read_to_the_end(self._consumer):
            partition = TopicPartition(record.topic, record.partition)
            self._ahead[partition][record.offset] = json.loads(record.value)["mutationId"]


@asynccontextmanager
async def watching(world: World, writes: list[Write]) -> AsyncIterator[Watch]:
    """Look every two seconds while the block runs; what is away for a while is looked at again later."""
    watch = Watch()
    tasks = [
        asyncio.create_task(_watch_states(world, writes, watch)),
        asyncio.create_task(_watch_commits(world, watch)),
    ]
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _watch_states(world: World, writes: list[Write], watch: Watch) -> None:
    async with open_database(world.handle) as database:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            names = [write.mutation for write in writes if write.mutation]
            query = {"_id": {"$in": world.rng.sample(names, min(SAMPLE, len(names)))}}
            with suppress(PyMongoError):
                async with watch.asking:
                    watch.see_states({each["_id"]: each async for each in database.mutations.find(query, STATE)})
                watch.looks += 1


async def _watch_commits(world: World, watch: Watch) -> None:
    """A broker that begins anew is followed anew."""
    bootstrap = world.handle["kafka"]
    while True:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        with suppress(KafkaError, PyMongoError, TimeoutError):
            try:
                await admin.start()
                async with open_reader(bootstrap, FETCHED) as consumer, open_database(world.handle) as database:
                    following = CommitWatch(consumer, admin, database, watch)
                    while True:
                        await asyncio.sleep(EVERY_SECONDS)
                        await following.look()
            finally:
                await admin.close()
        await asyncio.sleep(EVERY_SECONDS)
