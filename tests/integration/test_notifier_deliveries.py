"""Deliveries, attempts and the ledger's debt against a real database."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.notifier.attempts import MongoAttempts
from services.notifier.clock import DatabaseClock
from services.notifier.deliveries import MongoDeliveries
from services.notifier.dispatch import (
    Answer,
    Claimed,
    Dispatched,
    FailedDispatch,
    Lane,
    NewDelivery,
    SuccessfulDispatch,
)
from services.notifier.ledger import MongoLedger
from shared.errors import DependencyUnavailable
from shared.ledger import Client, Database, Document, create_indexes, open_client, open_database
from tests.fakes_notifier import EXPIRES, NOW, URL, notice, pending
from tests.stacks import Handle

HOST, OTHER = Lane("acme", "hooks.example.com"), Lane("acme", "other.example.com")


@dataclass
class Place:
    """Both environments under names of their own, so that nobody else's documents are seen."""

    client: Client
    databases: Mapping[str, Database]
    clock: DatabaseClock

    def deliveries(self, holder: str = "me", lease_seconds: float = 60.0) -> MongoDeliveries:
        return MongoDeliveries(self.databases, self.clock, holder, lease_seconds)

    def attempts(self, holder: str = "me") -> MongoAttempts:
        return MongoAttempts(self.client, self.databases, self.clock, holder)

    async def delivery(self, name: str) -> Document:
        found = await self.databases["live"].deliveries.find_one({"_id": name})
        assert found
        return found

    async def mutation(self, name: str) -> Document:
        found = await self.databases["live"].mutations.find_one({"_id": name})
        assert found
        return found

    async def recorded(self, name: str) -> list[Document]:
        return await self.databases["live"].attempts.find({"delivery": name}).sort("_id", 1).to_list()


@pytest.fixture
async def place(servers: Handle) -> AsyncIterator[Place]:
    names = {environment: f"notifier_{uuid.uuid4().hex}" for environment in ("live", "sandbox")}
    async with open_client(servers["mongodb"]) as client:
        databases = {environment: open_database(client, name) for environment, name in names.items()}
        await create_indexes(databases["live"])
        yield Place(client, databases, DatabaseClock(client))
        for name in names.values():
            await client.drop_database(name)


def new(name: str, lane: Lane = HOST, leased: bool = False, pause: float = 0.0) -> NewDelivery:
    return NewDelivery(notice(name), lane, leased, pause)


def succeeded(name: str, made: int = 0) -> Dispatched:
    return SuccessfulDispatch(pending(name, made=made), Answer(200, 12, "thanks"), NOW)


def failed(name: str, made: int = 0, status: Any = "pending", pause: float = 300.0) -> Dispatched:
    answer = Answer(503, 12, "$later", None)
    return FailedDispatch(pending(name, made=made), answer, NOW, "server_error", status, pause)


async def test_a_delivery_is_entered_once(place: Place) -> None:
    deliveries = place.deliveries()
    assert await deliveries.insert("live", [new("m1"), new("m2")]) == {"m1", "m2"}
    assert await deliveries.insert("live", [new("m0"), new("m1"), new("m3")]) == {"m0", "m3"}


async def test_what_was_entered_leased_is_due_for_nobody(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True), new("m2"), new("m3", pause=60)])
    assert [due.delivery for due in await place.deliveries("other").due("live", 10, 0)] == ["m2"]


async def test_what_is_due_longest_comes_first_and_can_be_passed_over(place: Place) -> None:
    deliveries = place.deliveries()
    await deliveries.insert("live", [new("m2", OTHER)])
    await asyncio.sleep(0.002)  # dates have milliseconds
    await deliveries.insert("live", [new("m1")])
    assert [due.delivery for due in await deliveries.due("live", 10, 0)] == ["m2", "m1"]
    assert [due.lane for due in await deliveries.due("live", 10, 1)] == [HOST]
    assert len(await deliveries.due("live", 1, 0)) == 1


async def test_two_notifiers_never_lease_the_same_delivery(place: Place) -> None:
    names = [f"m{n}" for n in range(60)]
    await place.deliveries().insert("live", [new(name) for name in names])
    holders = [place.deliveries(f"holder{n}") for n in range(4)]
    claimed = await asyncio.gather(*(holder.claim("live", names) for holder in holders))
    assert sorted(name for each in claimed for name in each) == sorted(names)


async def test_a_dead_notifiers_work_is_taken_over_when_its_lease_runs_out(place: Place) -> None:
    await place.deliveries("dead", lease_seconds=3.0).insert("live", [new("m1", leased=True)])
    other = place.deliveries("other")
    assert await other.claim("live", ["m1"]) == {}
    claimed: dict[str, Claimed] = {}
    for _ in range(400):
        if claimed := await other.claim("live", ["m1"]):
            break
        await asyncio.sleep(0.05)
    assert claimed == {"m1": Claimed(0, URL)}


async def test_released_leases_are_due_at_once_but_nobody_releases_anothers(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True)])
    await place.deliveries("other").release("live", ["m1"])
    assert await place.deliveries("other").claim("live", ["m1"]) == {}
    await place.deliveries().release("live", ["m1"])
    assert await place.deliveries("other").claim("live", ["m1"]) == {"m1": Claimed(0, URL)}


async def test_what_is_put_off_is_not_due(place: Place) -> None:
    deliveries = place.deliveries()
    await deliveries.insert("live", [new("m1"), new("m2", leased=True)])
    leased_until = (await place.delivery("m2"))["nextAt"]
    await deliveries.postpone("live", ["m1", "m2"], 60)
    assert await deliveries.due("live", 10, 0) == []
    assert (await place.delivery("m2"))["nextAt"] == leased_until


async def test_success_ends_the_delivery_and_drops_the_url(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True)])
    await place.attempts().record([("a1", succeeded("m1"))])
    delivery = await place.delivery("m1")
    assert (delivery["status"], delivery["attempt"], delivery["leaseBy"]) == ("delivered", 1, None)
    assert delivery["endedAt"]
    assert delivery["url"] is None
    [attempt] = await place.recorded("m1")
    assert (attempt["n"], attempt["status"], attempt["ms"], attempt["answer"]) == (1, 200, 12, "thanks")
    assert attempt["expireAt"] == pending("m1").expire_at


async def test_a_failure_is_tried_again_later(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True)])
    await place.attempts().record([("a1", failed("m1", pause=300.0))])
    delivery = await place.delivery("m1")
    assert (delivery["status"], delivery["attempt"], delivery["leaseBy"]) == ("pending", 1, None)
    assert delivery["nextAt"] - delivery["createdAt"] > timedelta(seconds=290)
    assert delivery["url"] == URL
    [attempt] = await place.recorded("m1")
    assert (attempt["error"], attempt["answer"]) == ("server_error", "$later")


@pytest.mark.parametrize(("status", "keeps_url"), [("exhausted", True), ("gone", False)])
async def test_a_delivery_that_gives_up_is_never_due_again(place: Place, status: str, keeps_url: bool) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True)])
    await place.attempts().record([("a1", failed("m1", made=9, status=status))])
    delivery = await place.delivery("m1")
    assert (delivery["status"], delivery["attempt"], delivery["nextAt"]) == (status, 10, None)
    assert await place.deliveries().due("live", 10, 0) == []
    assert (delivery["url"] == URL) is keeps_url


async def test_of_an_erased_record_neither_answers_nor_the_url_are_kept(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True)])
    late = pending("m1", made=9, scrubbed=True)
    await place.attempts().record(
        [("a1", FailedDispatch(late, Answer(500, 5, "personal"), NOW, "server_error", "exhausted"))]
    )
    assert (await place.delivery("m1"))["url"] is None
    assert [each["answer"] for each in await place.recorded("m1")] == [""]


async def test_delivered_never_goes_back(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True)])
    await place.attempts().record([("a1", succeeded("m1"))])
    ended = await place.delivery("m1")
    await place.attempts().record([("a2", failed("m1", made=3, status="exhausted")), ("a3", failed("m1"))])
    assert await place.delivery("m1") == ended
    assert len(await place.recorded("m1")) == 3


async def test_a_lost_lease_may_record_its_failure_but_decides_nothing(place: Place) -> None:
    await place.deliveries("new").insert("live", [new("m1", leased=True)])
    before = await place.delivery("m1")
    await place.attempts("old").record([("a1", failed("m1"))])
    assert await place.delivery("m1") == before
    assert len(await place.recorded("m1")) == 1


async def test_a_lost_lease_that_delivered_has_delivered(place: Place) -> None:
    await place.deliveries("new").insert("live", [new("m1", leased=True)])
    await place.attempts("new").record([("a1", failed("m1", made=9, status="exhausted"))])
    await place.attempts("old").record([("a2", succeeded("m1", made=1))])
    delivery = await place.delivery("m1")
    assert (delivery["status"], delivery["attempt"]) == ("delivered", 10)


async def test_a_write_with_unknown_result_can_be_repeated(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True), new("m2", leased=True)])
    await place.attempts().record([("a1", failed("m1", pause=300))])
    first = await place.delivery("m1")
    await place.attempts().record([("a1", failed("m1", pause=900)), ("a2", succeeded("m2"))])
    assert await place.delivery("m1") == first
    assert len(await place.recorded("m1")) == 1
    assert (await place.delivery("m2"))["status"] == "delivered"


async def test_results_of_both_environments_go_to_their_own_database(place: Place) -> None:
    for environment in place.databases:
        await place.deliveries().insert(environment, [new("m1", leased=True)])
    sandbox = SuccessfulDispatch(pending("m1", environment="sandbox"), Answer(204, 3), NOW)
    await place.attempts().record([("a1", failed("m1")), ("a2", sandbox)])
    assert (await place.delivery("m1"))["status"] == "pending"
    assert (await place.databases["sandbox"].deliveries.find_one({"_id": "m1"}) or {})["status"] == "delivered"


async def test_the_ledger_is_read_where_a_mutation_has_ended_and_its_debt_cleared_once(place: Place) -> None:
    ended = {"tenant": "acme", "outcome": {"status": "failed"}, "endedAt": NOW, "expireAt": EXPIRES, "traceparent": "t"}
    await place.databases["live"].mutations.insert_many(
        [
            {"_id": "m1", "key": "m1", **ended, "owed": True, "callbackUrl": URL},
            {"_id": "m2", "key": "m2", **ended},
            {"_id": "m3", "key": "m3", "tenant": "acme", "status": "accepted", "outcome": None},
        ]
    )
    ledger = MongoLedger(place.databases)
    read = await ledger.read("live", ["m1", "m2", "m3", "m4"])
    assert set(read) == {"m1", "m2"}
    assert (read["m1"].owed, read["m2"].owed) == (True, False)
    assert read["m1"].callback_url == URL
    assert read["m1"].outcome == {"status": "failed"}
    await ledger.settle("live", ["m1"])
    await ledger.settle("live", [])
    assert not {"owed", "callbackUrl"} & set(await place.mutation("m1"))


async def test_the_databases_time_is_counted_on_between_two_questions(place: Place) -> None:
    ticks = iter([0.0, 0.0, 30.0, 30.0])
    clock = DatabaseClock(place.client, lambda: next(ticks))
    first = await clock.now()
    assert await clock.now() - first == timedelta(seconds=30)


async def test_undeliverable_ones_end_as_gone(place: Place) -> None:
    await place.deliveries().insert("live", [new("m1", leased=True)])
    await place.deliveries().end_undeliverable("live", ["m1"])
    assert (await place.delivery("m1"))["status"] == "gone"


async def test_an_absent_database_is_a_dependency_that_is_away() -> None:
    async with open_client("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200", timeout_seconds=0.5) as client:
        databases = {"live": open_database(client, "nowhere")}
        with pytest.raises(DependencyUnavailable):
            await MongoAttempts(client, databases, DatabaseClock(client), "me").record([("a1", succeeded("m1"))])
        with pytest.raises(DependencyUnavailable):
            await MongoDeliveries(databases, DatabaseClock(client), "me", 60).insert("live", [new("m1")])
        with pytest.raises(DependencyUnavailable):
            await MongoLedger(databases).read("live", ["m1"])
