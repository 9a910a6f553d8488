"""What a real database counts as the backlog: every lane with its size and age, and the deliveries that wait."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from services.ingest.backlog import Lane
from services.ingest.mongo_backlog import MongoBacklog
from shared.ledger import PARKED, WAITING, Client, databases, open_client
from tests.factories import inline, mutation, new_id

DAY = timedelta(days=1)


@pytest_asyncio.fixture
async def client(servers: dict[str, Any]) -> AsyncIterator[Client]:
    client = open_client(servers["mongodb"])
    yield client
    await client.close()


def grown(after: Lane, before: Lane) -> int:
    """Other tests leave their own mutations."""
    return after.size - before.size


async def test_each_lane_is_counted_with_the_time_of_its_oldest_mutation(client: Client) -> None:
    backlog, live = MongoBacklog(client), databases(client)["live"]
    before = await backlog.lanes("live")
    old = mutation(files={new_id(): inline()}, lane=PARKED) | {"_id": "00000000-03e8-7000-8000-" + new_id()[-12:]}
    await live.mutations.insert_many([old, *(mutation(files={new_id(): inline()}) for _ in range(3))])
    after = await backlog.lanes("live")
    await live.mutations.delete_one({"_id": old["_id"]})

    assert grown(after[WAITING], before[WAITING]) == 3
    assert grown(after[PARKED], before[PARKED]) == 1
    assert after[PARKED].first == datetime.fromtimestamp(0x3E8 / 1000, UTC)
    assert set(after) == {"waiting", "working", "parked", "owed"}


async def test_what_tells_no_time_is_counted_without_one(client: Client) -> None:
    backlog, sandbox = MongoBacklog(client), databases(client)["sandbox"]
    kept = {"_id": "rej-" + new_id(), "tenant": new_id(), "key": "!" + new_id(), "lane": "owed"}
    await sandbox.mutations.insert_one(kept)
    found = await backlog.lanes("sandbox")
    await sandbox.mutations.delete_one({"_id": kept["_id"]})

    assert found["owed"].size >= 1


async def test_deliveries_that_have_not_ended_are_counted_with_the_time_of_the_first(client: Client) -> None:
    backlog, live, now = MongoBacklog(client), databases(client)["live"], datetime.now(UTC).replace(microsecond=0)
    before = await backlog.deliveries("live")
    times = {"pending": now - 400 * DAY, "delivered": now - 500 * DAY}
    documents = [{"_id": new_id(), "status": status, "nextAt": at} for status, at in times.items()]
    documents.append({"_id": new_id(), "status": "pending", "nextAt": now + DAY})
    await live.deliveries.insert_many(documents)
    after = await backlog.deliveries("live")
    await live.deliveries.delete_many({"_id": {"$in": [each["_id"] for each in documents]}})

    assert grown(after, before) == 2
    assert after.first == times["pending"]
