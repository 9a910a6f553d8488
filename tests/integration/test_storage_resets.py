"""Emptying a tenant's sandbox: what goes, what stays, in which order, and what a kill in the middle leaves to do."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from services.storage.belongings import MongoBelongings
from services.storage.decide_files import decide_files
from services.storage.decider import Decider
from services.storage.erasure import Erasure
from services.storage.files import FileStore
from services.storage.handler import StorageHandler
from services.storage.ledger import MongoLedger
from services.storage.resets import CALLBACKS_SECONDS, Emptier
from services.storage.sweeper import Sweeper
from services.storage.traces import MongoTraces
from services.storage.uploads import MongoUploads
from services.storage.work import Work, of_event
from shared.content.judge import judge
from shared.errors import DependencyUnavailable
from shared.events import MutationCompleted, MutationFetched
from shared.ledger import Client, databases, open_client
from shared.resets import Resets
from tests.factories import by_url, fetched, inline, mutation, new_id
from tests.fakes import InMemoryBlobs, Mortal

HOUR = timedelta(hours=1)
COLLECTIONS = ("mutations", "records", "attachments", "uploads", "deliveries", "attempts")


async def never_passed() -> bool:
    return False


async def always(name: str, seconds: float) -> bool:
    return True


@dataclass
class House:
    """A storage service without its process; its clock is for the patience with callbacks."""

    client: Client
    blobs: InMemoryBlobs = field(default_factory=InMemoryBlobs)
    announced: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.databases: dict[str, Any] = databases(self.client)
        self.sandbox: Any = self.databases["sandbox"]
        self.ledger, self.resets = MongoLedger(self.client), Resets(self.client)
        self.files = FileStore(self.blobs, judge)
        erasure = Erasure(self.ledger, MongoTraces(self.client), self.blobs)
        decider = Decider(self.ledger, self.files, MongoUploads(self.client), erasure)
        self.handler = StorageHandler(self.ledger, self.blobs, decider, erasure, self)
        self.emptier = self.emptier_over(MongoBelongings(self.client), self.blobs)

    def emptier_over(self, belongings: Any, blobs: Any) -> Emptier:
        sweeper = Sweeper(self.ledger, blobs, self, self.handler.end, never_passed)
        reconcile = partial(sweeper.reconcile, "sandbox", timedelta(0))
        return Emptier(self.resets, belongings, blobs, self.handler.end, reconcile, lambda: self.seconds)

    async def fetched(self, again: Iterable[tuple[MutationFetched, str]]) -> None:
        raise AssertionError("nothing is published again here")

    async def completed(self, ended: Iterable[tuple[MutationCompleted, str]]) -> None:
        self.announced += [event.mutation_id for event, _ in ended]

    async def insert(self, *documents: dict[str, Any], environment: str = "sandbox") -> None:
        await self.databases[environment].mutations.insert_many([dict(document) for document in documents])

    async def work_off(self, document: dict[str, Any], environment: str = "sandbox") -> None:
        await self.handler.handle([fetched(document).model_copy(update={"environment": environment})])

    async def settle(self) -> None:
        """What the notifier does."""
        await self.sandbox.mutations.update_many({"lane": "owed"}, {"$unset": {"owed": "", "lane": ""}})

    async def mutation(self, document: dict[str, Any]) -> dict[str, Any]:
        return dict(await self.sandbox.mutations.find_one({"_id": document["_id"]}))

    async def held(self, environment: str = "sandbox", **query: Any) -> dict[str, int]:
        """How many documents each collection holds; tombstones are none."""
        found = {name: self.databases[environment][name] for name in COLLECTIONS}
        alive = query | {"removedAt": None}
        counts = {name: await collection.count_documents(alive) for name, collection in found.items()}
        return {name: count for name, count in counts.items() if count}

    async def round(self, emptier: Emptier | None = None) -> bool:
        """One round; whether the request of `demo` is done."""
        await (emptier or self.emptier).round(always)
        latest = await self.resets.latest("demo")
        return bool(latest and latest["completedAt"])


@pytest_asyncio.fixture
async def house(servers: dict[str, Any]) -> AsyncIterator[House]:
    client = open_client(servers["mongodb"])
    made = House(client)

    async def clear() -> None:
        for database in made.databases.values():
            for name in (*COLLECTIONS, "resets"):
                await database[name].delete_many({})

    await clear()
    yield made
    await clear()
    await client.close()


def old(kind: str = "create", record: str | None = None, sequence: int = 1, **given: Any) -> dict[str, Any]:
    tenant = given.get("tenant", "demo")
    made = mutation(kind, record, sequence, **{"createdAt": datetime.now(UTC) - HOUR} | given)
    made["places"] = [{"record": f"{tenant}/candidate/{made['record']['id']}", "sequence": sequence}]
    return made


async def stored(house: House, environment: str = "sandbox", **given: Any) -> dict[str, Any]:
    """A candidate with one file, ended, called back once."""
    name = new_id()
    made = old(files={name: inline()}, fileIds=[name], **given)
    await house.insert(made, environment=environment)
    await house.work_off(made, environment)
    database = house.databases[environment]
    await database.mutations.update_one({"_id": made["_id"]}, {"$unset": {"owed": "", "lane": ""}})
    delivery = {"_id": made["_id"], "tenant": made["tenant"], "status": "pending", "attempt": 1}
    await database.deliveries.insert_one(delivery)
    await database.attempts.insert_one({"_id": new_id(), "delivery": made["_id"], "n": 1})
    return made


def objects(house: House, prefix: str) -> list[str]:
    return [key for key in house.blobs.objects if key.startswith(prefix)]


async def test_all_of_the_tenant_goes_and_nothing_of_anybody_else_or_live(house: House) -> None:
    mine = await stored(house)
    await stored(house, tenant="other")
    await stored(house, "live")
    head = {"_id": new_id(), "tenant": "demo", "key": "array", "status": "batch", "members": []}
    await house.sandbox.mutations.insert_one(head | {"createdAt": datetime.now(UTC) - HOUR})
    await house.blobs.put(f"staging/sandbox/{mine['_id']}/left", b"x", 1)
    await house.blobs.put(f"staging/sandbox/{new_id()}/of-a-request-under-way", b"x", 1)
    others, live = await house.held(tenant="other"), await house.held("live")

    await house.resets.request("demo", datetime.now(UTC))
    assert await house.round()

    assert await house.held(tenant="demo") == {}
    assert await house.held(tenant="other") == others
    assert await house.sandbox.attempts.count_documents({}) == 1
    assert await house.held("live") == live
    assert not objects(house, "records/sandbox/demo/")
    assert [len(objects(house, prefix)) for prefix in ("records/sandbox/other/", "records/live/demo/")] == [1, 1]
    assert len(objects(house, "staging/sandbox/")) == 1
    assert not [each async for each in house.sandbox.attachments.find({"tenant": "demo", "filename": {"$ne": None}})]
    assert await house.resets.open() == {}


async def test_the_keys_used_before_are_free_again(house: House) -> None:
    made = await stored(house)
    await house.resets.request("demo", datetime.now(UTC))
    assert await house.round()

    again = mutation(key=made["key"])
    await house.insert(again)
    assert await house.held(tenant="demo") == {"mutations": 1}


async def test_what_is_accepted_after_the_request_stays(house: House) -> None:
    before = await stored(house)
    await house.resets.request("demo", datetime.now(UTC) - HOUR / 2)
    name = new_id()
    after = mutation(files={name: inline()}, fileIds=[name])
    waiting = mutation()
    await house.insert(after, waiting)
    await house.work_off(after)

    assert await house.round()

    kept = {each["_id"] async for each in house.sandbox.mutations.find({"tenant": "demo"})}
    assert kept == {after["_id"], waiting["_id"]}
    assert [each["_id"] async for each in house.sandbox.records.find({"removedAt": None})] == [after["record"]["id"]]
    assert len(objects(house, f"records/sandbox/demo/{name}/")) == 1
    assert await house.sandbox.records.find_one({"_id": before["record"]["id"]}, {"fields": 1}) == {
        "_id": before["record"]["id"]
    }


async def test_open_mutations_end_first_and_only_then_does_anything_go(house: House) -> None:
    first = await stored(house)
    second = old("append", first["record"]["id"], 2, files={new_id(): inline()})
    third = old("append", first["record"]["id"], 3, files={new_id(): inline()})
    await house.insert(second, third)
    await house.work_off(third)  # it is early: parked
    await house.resets.request("demo", datetime.now(UTC))

    assert not await house.round()

    for ended in (second, third):
        found = await house.mutation(ended)
        assert (found["status"], found["outcome"]["error"]["code"]) == ("failed", "sandbox_reset")
    assert set(house.announced) >= {second["_id"], third["_id"]}
    assert (await house.held(tenant="demo"))["records"] == 1

    assert not await house.round()  # the notifier has not heard of them
    await house.settle()
    assert await house.round()
    assert await house.held(tenant="demo") == {}


async def test_what_is_applying_is_waited_for_and_goes_with_what_it_stored(house: House) -> None:
    name = new_id()
    made = old(files={name: inline()}, fileIds=[name])
    await house.insert(made)
    files = await house.files.store("sandbox", Work(made))
    await house.ledger.decide("sandbox", {made["_id"]: decide_files(made, {}, files)})
    await house.resets.request("demo", datetime.now(UTC))

    house.seconds += 10 * CALLBACKS_SECONDS
    assert not await house.round()
    assert len(objects(house, "records/sandbox/demo/")) == 1

    await house.work_off(made)
    assert (await house.mutation(made))["status"] == "completed"
    await house.settle()
    assert await house.round()
    assert await house.held(tenant="demo") == {}
    assert house.blobs.objects == {}


async def test_a_callback_gets_its_first_attempt_but_a_dead_receiver_holds_nothing_up_for_long(house: House) -> None:
    made = await stored(house)
    await house.sandbox.deliveries.update_one({"_id": made["_id"]}, {"$set": {"attempt": 0}})
    young = mutation()
    await house.sandbox.deliveries.insert_one({"_id": young["_id"], "tenant": "demo", "status": "pending"})
    await house.resets.request("demo", datetime.now(UTC))

    assert not await house.round()
    house.seconds += CALLBACKS_SECONDS - 1
    assert not await house.round()
    house.seconds += 2
    assert await house.round()
    assert "mutations" not in await house.held(tenant="demo")


async def test_temporary_uploads_go_but_for_those_that_an_open_mutation_has_claimed(house: House) -> None:
    claimer = mutation("assign")
    await house.insert(claimer)
    names = {"free": None, "left": new_id(), "claimed": claimer["_id"]}
    for name, claim in names.items():
        key = f"staging/sandbox/uploads/{name}/1"
        await house.blobs.put(key, b"x", 1)
        mine = {"tenant": "demo", "createdAt": datetime.now(UTC) - HOUR}
        await house.sandbox.uploads.insert_one({"_id": name, "key": key, "claimedBy": claim} | mine)
    await house.resets.request("demo", datetime.now(UTC) - HOUR / 2)

    assert await house.round()

    assert [each["_id"] async for each in house.sandbox.uploads.find({})] == ["claimed"]
    assert list(house.blobs.objects) == ["staging/sandbox/uploads/claimed/1"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("part", ["belongings", "blobs"])
async def test_a_kill_at_any_step_leaves_a_request_that_is_done_again(house: House, part: str, after: bool) -> None:
    done = died = 0
    while not done:
        await stored(house)
        lost = old(files={new_id(): by_url()})
        await house.insert(lost)
        await house.handler.end("sandbox", [lost["_id"]], "internal_error")
        await house.settle()
        await house.blobs.put(f"staging/sandbox/{lost['_id']}/left", b"x", 1)
        upload = {"_id": new_id(), "tenant": "demo", "createdAt": datetime.now(UTC) - HOUR, "claimedBy": None}
        await house.sandbox.uploads.insert_one(upload | {"key": f"staging/sandbox/uploads/{upload['_id']}/1"})
        await house.blobs.put(f"staging/sandbox/uploads/{upload['_id']}/1", b"x", 1)
        await house.resets.request("demo", datetime.now(UTC))
        belongings, blobs = MongoBelongings(house.client), house.blobs
        mortal = Mortal(belongings if part == "belongings" else blobs, died + 1, after)
        over = (mortal, blobs) if part == "belongings" else (belongings, mortal)
        try:
            done = await house.round(house.emptier_over(*over))
        except DependencyUnavailable:
            died += 1
            assert "demo" in await house.resets.open()
            assert await house.round(house.emptier_over(belongings, blobs))
        assert await house.held(tenant="demo") == {}
        assert await house.held() == {}
        assert house.blobs.objects == {}
    assert died >= (8 if part == "belongings" else 3)


async def test_a_worker_that_slept_brings_nothing_back(house: House) -> None:
    name = new_id()
    made = old(files={name: inline()}, fileIds=[name])
    await house.insert(made)
    work = of_event(made, fetched(made))
    decision = decide_files(made, {}, await house.files.store("sandbox", work))
    await house.ledger.decide("sandbox", {made["_id"]: decision})
    await house.work_off(made)
    await house.settle()
    await house.resets.request("demo", datetime.now(UTC))
    assert await house.round()

    await house.ledger.finish("sandbox", [(made, decision)])
    await house.work_off(made)

    assert await house.held(tenant="demo") == {}


async def test_tombstones_of_a_reset_go_with_one_that_comes_a_day_later(house: House) -> None:
    await stored(house)
    await house.resets.request("demo", datetime.now(UTC))
    assert await house.round()
    assert await house.sandbox.records.count_documents({}) == 1

    day = timedelta(days=1)
    await house.sandbox.records.update_many({}, {"$set": {"removedAt": datetime.now(UTC) - day - HOUR}})
    await house.resets.request("demo", datetime.now(UTC))
    assert await house.round()
    assert await house.sandbox.records.count_documents({}) == 0


async def test_a_request_is_replaced_by_a_later_one_only_and_stays_done(house: House) -> None:
    first = datetime(2026, 3, 2, 3, tzinfo=UTC)
    await house.resets.request("demo", first)
    await house.resets.request("demo", first - HOUR)
    assert await house.resets.open() == {"demo": first}
    await house.resets.complete("demo", first - HOUR, first)
    assert await house.resets.open() == {"demo": first}
    await house.resets.complete("demo", first, first + HOUR)
    await house.resets.request("demo", first)
    assert await house.resets.open() == {}
    assert await house.resets.latest("demo") == {"requestedAt": first, "completedAt": first + HOUR}
    await house.resets.request("demo", first + HOUR)
    assert await house.resets.open() == {"demo": first + HOUR}


async def test_more_than_a_page_behind_one_record_ends_by_the_reset_and_by_nothing_else(house: House) -> None:
    first = old()
    early = {"lane": "parked", "parked": {"files": {}, "failure": None}}
    await house.insert(first, *(old("append", first["record"]["id"], n, **early) for n in range(2, 302)))
    await house.resets.request("demo", datetime.now(UTC))
    assert not await house.round()
    assert await house.sandbox.mutations.distinct("outcome.error.code") == ["sandbox_reset"]
    assert await house.held(tenant="demo") == {"mutations": 301}
    await house.settle()
    assert await house.round()
    assert await house.held(tenant="demo") == {}
