"""SIGKILL of any service in the middle of the work: nothing is lost, nothing is done twice."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.client import Client, Json
from tests.e2e.flood import Flood
from tests.retry import eventually

MUTATIONS = 200


def processes(handle: Json) -> dict[str, int]:
    """The present process ids: stack.json is written again when a service is restarted."""
    path = Path(handle["logs"]).parent / "stack.json"
    if not handle["logs"] or not path.exists():
        pytest.skip("needs a stack with a supervisor: STACK=embedded or STACK=kafka")
    present: dict[str, int] = json.loads(path.read_text())["processes"]
    return present


@pytest.mark.timeout(240)
@pytest.mark.parametrize("service", ["ingest", "fetcher", "storage", "notifier"])
async def test_killed_service_loses_nothing_and_does_nothing_twice(client: Client, service: str) -> None:
    before = processes(client.handle)[service]
    flood = Flood(client, MUTATIONS)
    sending = asyncio.create_task(flood.send())
    await flood.completed(at_least=MUTATIONS // 10)
    os.kill(before, signal.SIGKILL)
    assert len(client.callbacks()) < MUTATIONS, "all was done before the kill: the test shows nothing"
    await sending
    await flood.all_stored_once()

    async def restarted() -> None:
        assert processes(client.handle)[service] != before

    await eventually(restarted)
