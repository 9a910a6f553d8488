"""SIGKILL of any service in the middle of the work: nothing is lost, nothing is done twice."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.client import Client, Json, inline, person
from tests.e2e.flood import Flood
from tests.e2e.upstream import command, open_upstream
from tests.retry import eventually

MUTATIONS = 200


def processes(handle: Json) -> dict[str, int]:
    """The present process ids: stack.json is written again when a service is restarted."""
    path = Path(handle["logs"]).parent / "stack.json"
    if not handle["logs"] or not path.exists():
        pytest.skip("needs a stack with a supervisor: STACK=embedded or STACK=kafka")
    present: dict[str, int] = json.loads(path.read_text())["processes"]
    return present


@pytest.mark.timeout(600)
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


@pytest.mark.timeout(600)
async def test_killed_ingest_accepts_every_command_once(client: Client) -> None:
    before = processes(client.handle)["ingest"]
    note = inline("note.txt", b"A note about a test person.", "text/plain")
    sent = [command(payload=person(otherAttachments=[note])) for _ in range(MUTATIONS)]
    keys = {one["idempotencyKey"] for one in sent}
    async with open_upstream(client.handle) as upstream:
        # The last one may not be produced before the kill, or all could be done by then.
        for one in sent[:-1]:
            await upstream.send(one)
        await upstream.outcome(sent[0]["idempotencyKey"])
        os.kill(before, signal.SIGKILL)
        await upstream.send(sent[-1])
        for key in keys:
            await upstream.outcomes_of(key, seconds=120)
        ended = [one["data"] for one in upstream.outcomes if one["data"]["idempotencyKey"] in keys]
    assert {outcome["status"] for outcome in ended} == {"completed"}
    assert len({outcome["mutationId"] for outcome in ended}) == MUTATIONS


@pytest.mark.timeout(600)
async def test_killed_broker_stops_no_request_and_commands_are_taken_again_when_it_is_back(client: Client) -> None:
    before = processes(client.handle)["kafka"]
    os.kill(before, signal.SIGKILL)
    accepted = await client.write("POST", "/candidates", person())

    async def restarted() -> None:
        assert processes(client.handle)["kafka"] != before

    await eventually(restarted)
    assert (await client.outcome(accepted, 120))["status"] == "completed"
    async with open_upstream(client.handle) as upstream:
        sent = command(payload=person())
        await upstream.send(sent)
        assert (await upstream.outcome(sent["idempotencyKey"], 120))["status"] == "completed"
