"""The relay against a real database and broker: windows, fair turns, and what is lost is published again."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from services.ingest.lost import LostEvents
from services.ingest.outbox import MongoOutbox
from services.ingest.relay import Relay
from shared.errors import DependencyUnavailable
from shared.ledger import Client, databases, open_client
from shared.outbox import publish_count
from shared.process import background
from shared.publisher import Outgoing
from tests.factories import by_url, inline, mutation, new_id
from tests.retry import eventually


@dataclass
class Broker:
    """Takes events, or is away."""

    away: bool = False
    events: list[Any] = field(default_factory=list)
    refused: int = 0

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]:
        items = [event for _, event, _ in outgoing]
        if self.away:
            self.refused += len(items)
            return [DependencyUnavailable("kafka") for _ in items]
        self.events += items
        return [None] * len(items)

    def of(self, tenant: str) -> list[str]:
        return [event.mutation_id for event in self.events if event.tenant == tenant]


@pytest_asyncio.fixture
async def client(servers: dict[str, Any]) -> AsyncIterator[Client]:
    client = open_client(servers["mongodb"])
    yield client
    await client.close()


def waiting(tenant: str, count: int) -> list[dict[str, Any]]:
    return [mutation(tenant=tenant, files={new_id(): inline()}) for _ in range(count)]


async def test_what_was_offered_while_kafka_was_away_is_published_on_its_return(client: Client) -> None:
    broker, tenant, live = Broker(away=True), new_id(), databases(client)["live"]
    relay = Relay(MongoOutbox(client), broker, _leading)
    documents = waiting(tenant, 3)
    await live.mutations.insert_many(documents)
    async with background(relay.run, relay.recount, relay.look, on_failure=lambda: None):
        for document in documents:
            relay.offer("live", document)
        await asyncio.sleep(0)
        broker.away = False
        await eventually(lambda: _equal(sorted(set(broker.of(tenant))), sorted(d["_id"] for d in documents)))
        await eventually(lambda: _marked(live, tenant, 3))


async def test_a_replica_that_does_not_lead_goes_on_publishing_what_it_is_offered(client: Client) -> None:
    broker, tenant, live = Broker(away=True), new_id(), databases(client)["live"]
    relay = Relay(MongoOutbox(client), broker, _following)
    refused, later = waiting(tenant, 2)
    await live.mutations.insert_many([refused, later])
    async with background(relay.run, relay.recount, relay.look, on_failure=lambda: None):
        relay.offer("live", refused)
        await eventually(lambda: _equal(broker.refused >= 1, True))
        broker.away = False

        async def offered() -> None:
            relay.offer("live", later)
            await _equal(later["_id"] in broker.of(tenant), True)

        await eventually(offered)
    assert refused["_id"] not in broker.of(tenant)  # that is the leader's to find


async def test_a_flood_of_one_tenant_leaves_room_for_the_single_file_of_another(client: Client) -> None:
    broker, flood, single, live = Broker(), new_id(), new_id(), databases(client)["live"]
    relay = Relay(MongoOutbox(client), broker, _leading)
    documents = waiting(flood, 120)
    await live.mutations.insert_many(documents)
    async with background(relay.run, relay.recount, relay.look, on_failure=lambda: None):
        for document in documents:
            relay.offer("live", document)
        [lonely] = waiting(single, 1)
        await live.mutations.insert_one(lonely)
        relay.offer("live", lonely)
        await eventually(lambda: _equal(broker.of(single), [lonely["_id"]]))
        await eventually(lambda: _marked(live, flood, 50))
        assert len(set(broker.of(flood))) == 50  # the window: nothing of it is ever finished here

        await live.mutations.update_many(
            {"tenant": flood, "lane": "working"}, {"$set": {"status": "completed"}, "$unset": {"lane": ""}}
        )
        await eventually(lambda: _marked(live, flood, 100))
        assert set(broker.of(flood)) == {d["_id"] for d in documents[:100]}  # the oldest first


async def test_what_is_offered_while_the_ledger_is_looked_through_is_published_at_once(client: Client) -> None:
    broker, tenant, live = Broker(), new_id(), databases(client)["live"]
    looks = 0

    async def leading() -> bool:
        nonlocal looks
        looks += 1
        return True

    relay = Relay(MongoOutbox(client), broker, leading, look_seconds=0.1)
    known, offered = waiting(tenant, 2)
    await live.mutations.insert_many([known, offered])
    # Nobody recounts: what would have to be found in the ledger is never published.
    async with background(relay.run, relay.look, on_failure=lambda: None):
        await eventually(lambda: _equal(looks >= 2, True))
        relay.offer("live", offered)
        await eventually(lambda: _equal(broker.of(tenant), [offered["_id"]]))


async def test_of_a_flood_the_oldest_are_read_in_their_order_and_without_their_payload(client: Client) -> None:
    outbox, tenant, live = MongoOutbox(client), new_id(), databases(client)["live"]
    documents = waiting(tenant, 30)
    published = [each | {"_id": new_id(), "key": new_id(), "lane": "working"} for each in waiting(tenant, 2)]
    await live.mutations.insert_many([*reversed(documents), *published, *waiting(new_id(), 2)])

    found = await outbox.waiting("live", tenant, datetime.now(UTC) + timedelta(seconds=1), 10)

    assert [each["_id"] for each in found] == [each["_id"] for each in documents[:10]]
    assert inline()["data"].decode() not in repr(found)
    assert [each["places"] for each in found] == [each["places"] for each in documents[:10]]


async def test_those_published_least_recently_come_first_and_parked_ones_in_pages(client: Client) -> None:
    outbox, live, now = MongoOutbox(client), databases(client)["live"], datetime.now(UTC)
    working = [mutation(lane="working", published={"at": now - timedelta(minutes=n), "count": 1}) for n in range(3)]
    parked = [mutation(lane="parked") for _ in range(5)]
    for document in (*working, *parked):
        document["files"] = {new_id(): inline()}
    await live.mutations.insert_many([*working, *reversed(parked)])

    every = await outbox.working("live", 10_000)
    mine = [each["_id"] for each in every if each["_id"] in {one["_id"] for one in working}]
    assert mine == [each["_id"] for each in reversed(working)]
    page = await outbox.parked("live", parked[0]["_id"], 3)
    assert [each["_id"] for each in page] == [each["_id"] for each in parked[1:4]]
    assert inline()["data"].decode() not in repr([*every, *page])


async def test_what_stands_still_is_published_again_only_after_the_pipeline_has_passed(client: Client) -> None:
    live, outbox = databases(client)["live"], MongoOutbox(client)
    again: list[str] = []
    record = new_id()
    published = {"at": datetime.now(UTC) - timedelta(seconds=20), "count": 1}
    first = mutation(record=record, published=published, lane="working", files={new_id(): by_url()})
    parked = mutation("append", record, 2, published=published, lane="parked", parked={"files": {}, "failure": None})
    behind = {"passed": False}

    async def passed() -> bool:
        return behind["passed"]

    async def publish(_: str, documents: list[dict[str, Any]]) -> None:
        again.extend(document["_id"] for document in documents if document["_id"] in (first["_id"], parked["_id"]))

    await live.mutations.insert_many([first, parked])
    lost = LostEvents(outbox, passed, publish)
    await lost.round(["live"])
    assert again == []

    behind["passed"] = True
    await lost.round(["live"])
    assert again == [first["_id"]]  # the parked one waits for it and does not stand still

    await live.mutations.update_one({"_id": first["_id"]}, {"$set": {"status": "completed"}})
    await lost.round(["live"])
    assert again == [first["_id"], parked["_id"]]


async def test_a_document_that_makes_no_event_keeps_no_other_from_being_published_again(client: Client) -> None:
    broker, tenant, live = Broker(), new_id(), databases(client)["live"]
    outbox = MongoOutbox(client)
    relay = Relay(outbox, broker, _leading)
    broken, whole = (each | {"lane": "working"} for each in waiting(tenant, 2))
    await live.mutations.insert_many([broken, whole])
    await live.mutations.update_one({"_id": broken["_id"]}, {"$set": {"kind": "no such kind"}})

    await relay.publish_again("live", await outbox.by_id("live", [broken["_id"], whole["_id"]]))
    assert broker.of(tenant) == [whole["_id"]]
    counts = [publish_count(each) for each in await outbox.by_id("live", [broken["_id"], whole["_id"]])]
    assert counts == [1, 1]


async def _equal(seen: Any, wanted: Any) -> None:
    assert seen == wanted


async def _marked(live: Any, tenant: str, count: int) -> None:
    assert await live.mutations.count_documents({"tenant": tenant, "published.at": {"$ne": None}}) == count


async def _leading() -> bool:
    return True


async def _following() -> bool:
    return False
