"""Callbacks are listed by state and time, and those that can be sent again become due; nothing else changes."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.resends import Chosen, MongoResends
from shared.ledger import Client, Database, create_indexes, open_client, open_database
from shared.limits import KEPT_SECONDS
from tests.stacks import Handle

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
async def client(servers: Handle) -> AsyncIterator[Client]:
    async with open_client(servers["mongodb"]) as opened:
        yield opened


@pytest.fixture
async def database(client: Client) -> AsyncIterator[Database]:
    name = f"resends_{uuid.uuid4().hex}"
    opened = open_database(client, name)
    await create_indexes(opened)
    yield opened
    await client.drop_database(name)


@pytest.fixture
def resends(client: Client, database: Database) -> MongoResends:
    return MongoResends(client, {"live": database})


def delivery(name: str, status: str, hours: int = 1, tenant: str = "acme", **given: Any) -> dict[str, Any]:
    """Of a mutation that ended so many hours ago."""
    ended = NOW - timedelta(hours=hours)
    url = "http://hooks.test/in" if status in ("pending", "exhausted") else None
    return {
        "_id": name, "tenant": tenant, "status": status, "attempt": 3, "nextAt": None, "leaseBy": None, "url": url,
        "leaseUntil": None, "host": "hooks.test", "createdAt": ended, "endedAt": ended,
        "expireAt": ended + timedelta(seconds=KEPT_SECONDS),
    } | given  # fmt: skip


def chosen(state: str | None = None, tenant: str | None = None, since: int = 0, until: int = 0) -> Chosen:
    """Since and until so many hours ago; 0: always."""
    times = [NOW - timedelta(hours=hours) if hours else None for hours in (since, until)]
    return Chosen("live", tenant, state, *times)


async def ids(resends: MongoResends, wanted: Chosen, most: int = 10) -> list[str]:
    return [each["_id"] for each in await resends.deliveries(wanted, most)]


async def test_callbacks_are_chosen_by_state_tenant_and_time_the_latest_first(
    database: Database, resends: MongoResends
) -> None:
    await database.deliveries.insert_many(
        [delivery("a", "exhausted", 1), delivery("b", "gone", 2), delivery("c", "delivered", 3),
         delivery("d", "pending", 4), delivery("e", "exhausted", 5, "other")]
    )  # fmt: skip
    await database.attempts.insert_many([{"_id": f"t{n}", "delivery": "a", "n": n, "ms": 1} for n in (2, 1)])
    assert await ids(resends, chosen()) == ["a", "b", "c", "d", "e"]
    assert await ids(resends, chosen(), 2) == ["a", "b"]
    assert await ids(resends, chosen("failed")) == ["a", "b", "e"]
    assert await ids(resends, chosen("failed", "other")) == ["e"]
    assert await ids(resends, chosen("open")) == ["d"]
    assert await ids(resends, chosen("delivered", since=3, until=1)) == ["c"]
    assert await ids(resends, chosen(since=4, until=2)) == ["c", "d"]
    [first] = await resends.deliveries(chosen(), 1)
    assert [attempt["n"] for attempt in first["attempts"]] == [1, 2]
    assert await resends.exhausted(chosen("failed"), 10) == ["e", "a"]
    assert await resends.exhausted(chosen("failed", since=2), 10) == ["a"]


async def test_only_what_is_exhausted_or_waits_becomes_due(database: Database, resends: MongoResends) -> None:
    later = NOW + timedelta(hours=5)
    leased: dict[str, Any] = {"leaseBy": "n1", "leaseUntil": later, "nextAt": later}
    before = [
        delivery("exhausted", "exhausted"), delivery("waits", "pending", nextAt=later),
        delivery("leased", "pending", **leased), delivery("delivered", "delivered"), delivery("gone", "gone"),
        delivery("erased", "exhausted", url=None),
    ]  # fmt: skip
    await database.deliveries.insert_many(before)
    names = [each["_id"] for each in before]
    assert set(await resends.sendable("live", [*names, "none"])) == {"exhausted", "waits"}
    assert await resends.resend("live", [*names, "none"]) == 2
    after = {each["_id"]: each async for each in database.deliveries.find({})}
    for name in ("exhausted", "waits"):
        assert (after[name]["status"], after[name]["endedAt"], after[name]["attempt"]) == ("pending", None, 3)
        assert after[name]["nextAt"] <= datetime.now(UTC)
    for one in before[2:]:
        assert after[one["_id"]] == one
    assert await resends.resend("live", []) == 0
