"""Leases on a real database: one holder at a time, and a dead holder's lease runs out."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from shared.leases import Leases
from shared.ledger import CONTROL_DATABASE, Database, open_client, open_database
from tests.factories import new_id
from tests.retry import eventually


@pytest_asyncio.fixture
async def control(servers: dict[str, Any]) -> AsyncIterator[Database]:
    client = open_client(servers["mongodb"])
    yield open_database(client, CONTROL_DATABASE)
    await client.close()


async def test_a_lease_has_one_holder_who_may_prolong_it(control: Database) -> None:
    first, second, name = Leases(control), Leases(control), new_id()

    assert await first.hold(name, 60)
    assert not await second.hold(name, 60)
    assert await first.hold(name, 60)


async def test_a_dead_holders_lease_is_taken_over_when_it_has_run_out(control: Database) -> None:
    dead, living, name = Leases(control), Leases(control), new_id()
    assert await dead.hold(name, 0.5)

    async def taken() -> None:
        assert await living.hold(name, 60)

    await eventually(taken)
    assert not await dead.hold(name, 60)


async def test_a_released_lease_is_free_at_once(control: Database) -> None:
    first, second, name = Leases(control), Leases(control), new_id()
    assert await first.hold(name, 60)

    await first.release(name)

    assert await second.hold(name, 60)
