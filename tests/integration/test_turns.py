"""The order of a record's open mutations, also where very many wait, against a real database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from shared.ledger import databases, open_client
from shared.turns import AT_ONCE, OF_ONE, early_open, open_in_order
from tests.factories import mutation, new_id


@pytest_asyncio.fixture
async def live(servers: dict[str, Any]) -> AsyncIterator[Any]:
    client = open_client(servers["mongodb"])
    yield databases(client)["live"]
    await client.close()


def assign(record: str, sequence: int, other: str, others: int) -> dict[str, Any]:
    places = [
        {"record": f"demo/candidate/{record}", "sequence": sequence},
        {"record": f"demo/candidate/{other}", "sequence": others},
    ]
    return mutation("assign", record, places=places)


async def insert(live: Any, documents: list[dict[str, Any]]) -> None:
    """A few hundred at a time: thousands may take a busy machine longer than one call may take."""
    for start in range(0, len(documents), 500):
        await live.mutations.insert_many(documents[start : start + 500])


async def test_the_first_of_a_long_queue_are_read_without_a_gap(live: Any) -> None:
    flooded, quiet, other = new_id(), new_id(), new_id()
    # Some have a far smaller place elsewhere, so the database sorts them before their turn here.
    many = [
        assign(flooded, n, other, n // 30 + 1) if n % 30 == 0 else mutation("update", flooded, n)
        for n in range(11, AT_ONCE + 11)
    ]
    ended = mutation("update", flooded, 10, status="completed")
    few = [mutation("update", quiet, n) for n in (3, 2)]
    await insert(live, [ended, *many, *few])

    found = await open_in_order(live, [f"demo/candidate/{flooded}", f"demo/candidate/{quiet}"])

    queue, whole = found[f"demo/candidate/{flooded}"], [(n, each["_id"]) for n, each in enumerate(many, 11)]
    assert OF_ONE // 2 < len(queue) < OF_ONE
    assert queue == whole[: len(queue)]
    assert found[f"demo/candidate/{quiet}"] == [(2, few[1]["_id"]), (3, few[0]["_id"])]


async def test_the_first_is_found_behind_many_that_come_earlier_elsewhere(live: Any) -> None:
    flooded, other = new_id(), new_id()
    many = [assign(flooded, n + AT_ONCE, other, n) for n in range(1, AT_ONCE + 1)]
    first = mutation("update", flooded, AT_ONCE)
    await insert(live, [*many, first])

    found = await open_in_order(live, [f"demo/candidate/{flooded}"])

    assert found[f"demo/candidate/{flooded}"] == [(AT_ONCE, first["_id"])]


async def test_beside_a_flood_every_record_still_has_an_early_one(live: Any) -> None:
    flooded, quiet, empty = new_id(), new_id(), new_id()
    many = [mutation("update", flooded, n) for n in range(11, AT_ONCE + 11)]
    few = [mutation("update", quiet, n) for n in (3, 2)]
    await insert(live, [*many, *few])

    found = await early_open(live, [f"demo/candidate/{name}" for name in (flooded, quiet, empty)])

    assert found == {
        f"demo/candidate/{flooded}": (11, many[0]["_id"]),
        f"demo/candidate/{quiet}": (2, few[1]["_id"]),
    }
