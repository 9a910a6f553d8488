"""Clients that keep connections and give nothing: each is closed within the promised time, and others are served."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from tests.e2e.client import Client, person
from tests.e2e.raw_http import CLOSED_WITHIN, Wire
from tests.e2e.slow_clients import JSON_HEAD, SLOW, drip, never_read

pytestmark = pytest.mark.any_broker

EACH = 30  # clients of each kind at once


async def served(client: Client, until: Awaitable[Any]) -> int:
    """How many writes others got through meanwhile; each must be accepted."""
    waiting, count = asyncio.ensure_future(until), 0
    while not waiting.done():
        async with asyncio.timeout(CLOSED_WITHIN):
            assert (await client.call("POST", "/candidates", person())).status == 202
        count += 1
        await asyncio.sleep(0.2)
    await waiting
    return count


async def test_every_kind_of_slow_client_is_closed_in_time_and_others_are_served(
    stack: dict[str, Any], client: Client
) -> None:
    wire = Wire(stack)

    async def one(name: str) -> tuple[str, list[int]]:
        first, drop, _ = SLOW[name]
        streams = await asyncio.open_connection(wire.host, wire.port)
        try:
            return name, (await drip(streams, first(wire), drop)).statuses
        finally:
            streams[1].close()

    told: list[tuple[str, list[int]]] = []

    async def all_of_them() -> None:
        told.extend(await asyncio.gather(*(one(name) for name in SLOW for _ in range(EACH))))

    assert await served(client, all_of_them()) >= 1
    assert len(told) == len(SLOW) * EACH
    odd = {(name, *statuses) for name, statuses in told if not set(statuses) <= SLOW[name][2]}
    assert odd == set()


async def test_a_client_that_never_reads_is_closed_in_time(stack: dict[str, Any], client: Client) -> None:
    # More than all buffers on the way hold: the gateway can't go on writing, and takes no more questions.
    hanging = asyncio.create_task(never_read(Wire(stack), 500_000))
    assert await served(client, hanging) >= 1
    assert hanging.result()


async def test_a_client_that_says_no_more_but_would_listen_holds_nothing(stack: dict[str, Any]) -> None:
    wire = Wire(stack)
    for said in (wire.head() + JSON_HEAD, wire.head(), b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
        reader, writer = await asyncio.open_connection(wire.host, wire.port)
        writer.write(said)
        writer.write_eof()
        async with asyncio.timeout(CLOSED_WITHIN):
            assert b"HTTP/1.1 5" not in await reader.read()
        writer.close()
