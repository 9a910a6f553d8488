"""Following a write to its end, by one long request or a stream, while the gateway is restarted under the client."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.demo.samples import curriculum_vitae
from tests.e2e.client import Answer, Client, Json, inline, person
from tests.retry import eventually

PAUSE_SECONDS = 0.2  # before a client comes again


@dataclass
class Follower:
    """Reads a stream to its end as a library would: comes again with the last id, until all has been told.

    An answer that is cut off raises aiohttp.ClientPayloadError, and fails the test.
    """

    client: Client
    path: str
    last: str = ""
    told: list[Json] = field(default_factory=list)
    connections: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    async def follow(self) -> list[str]:
        """The statuses that were told, in order."""
        while await self._connected() != 204:  # noqa: ASYNC110  it polls, as such clients do
            await asyncio.sleep(PAUSE_SECONDS)
        return [data["status"] for data in self.told]

    async def listens(self) -> None:
        """Raises AssertionError before the first event."""
        assert self.told

    async def _connected(self) -> int:
        headers = {"x-api-key": self.client.key} | ({"Last-Event-ID": self.last} if self.last else {})
        try:
            async with self.client.session.get(self.client.handle["http"] + self.path, headers=headers) as answer:
                self.statuses[answer.status] += 1
                if answer.status == 503:
                    assert answer.headers["Retry-After"]
                if answer.status == 200:
                    self.connections += 1
                    async for line in answer.content:
                        self._heard(line.decode().rstrip("\n"))
                return answer.status
        except (aiohttp.ClientConnectionError, ConnectionError):
            return 0  # the port was closed: nobody was there to answer

    def _heard(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "id":
            self.last = value
        elif name == "data":
            self.told.append(json.loads(value))


async def waited(client: Client, path: str, seen: Counter[int]) -> Json:
    """Ask with `wait` until it has ended."""
    while True:
        with suppress(aiohttp.ClientConnectionError, ConnectionError):
            answer = await client.call("GET", f"{path}?wait=30")
            seen[answer.status] += 1
            assert answer.status == 200 or answer.headers["Retry-After"]
            if answer.status == 200 and answer.body["data"]["endedAt"]:
                return dict(answer.body["data"])
        await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def downloading(client: Client, prefix: str = "") -> AsyncIterator[Answer]:
    """A mutation that does not end within the block."""
    name = f"{os.urandom(4).hex()}.pdf"
    client.site.origin.files[name] = curriculum_vitae()
    client.site.origin.gate.clear()
    source = {"filename": "cv.pdf", "url": client.site.file_url(name)}
    yield await client.write("POST", f"{prefix}/candidates", person(curriculumVitae=[source]))
    client.site.origin.gate.set()


def present(stack: dict[str, Any]) -> dict[str, Any]:
    """The present stack.json: process ids change."""
    path = Path(stack["logs"]).parent / "stack.json"
    if not stack["logs"] or not path.exists():
        pytest.skip("needs a stack with a supervisor: STACK=embedded or STACK=kafka")
    return dict(json.loads(path.read_text()))


async def restarted(client: Client) -> None:
    """SIGTERM to the gateway, until it is ready again."""
    before = present(client.handle)["processes"]["ingest"]
    os.kill(before, signal.SIGTERM)

    async def again() -> None:
        assert present(client.handle)["processes"]["ingest"] != before
        try:
            assert (await client.call("GET", "/readyz")).status == 200
        except aiohttp.ClientError as error:
            raise AssertionError from error

    await eventually(again, 60)


@pytest.mark.parametrize("prefix", ["", "/sandbox"])
async def test_a_stream_tells_each_state_once_and_ends(client: Client, prefix: str) -> None:
    async with downloading(client, prefix) as accepted:
        path = f"{prefix}/mutations/{accepted.mutation['idempotencyKey']}"
        stream, seen = Follower(client, f"{path}/events"), Counter[int]()
        following = asyncio.create_task(stream.follow())
        waiting = asyncio.create_task(waited(client, path, seen))
        await eventually(stream.listens)
    statuses = await following
    assert statuses in (["accepted", "completed"], ["accepted", "applying", "completed"])
    assert (stream.connections, seen) == (1, {200: 1})
    read = (await client.call("GET", path)).body["data"]
    assert stream.told[-1] == {name: read[name] for name in read if name not in ("callback", "deliveries")}
    assert (await waiting)["attachments"] == read["attachments"]


async def test_an_array_is_followed_as_one(client: Client) -> None:
    people = [person(curriculumVitae=inline("cv.txt", b"hello", "text/plain")), person()]
    accepted = await client.call("POST", "/candidates", people)
    stream = Follower(client, f"/mutations/{accepted.body['data']['idempotencyKey']}/events")
    await stream.follow()
    ended = {data["mutationId"]: data["status"] for data in stream.told}
    assert ended == {each["mutationId"]: "completed" for each in accepted.mutations}
    assert stream.last == "33"


async def test_nobody_follows_what_is_another_tenants_or_in_the_other_environment(
    client: Client, stranger: Client
) -> None:
    async with downloading(client) as accepted:
        path = f"/mutations/{accepted.mutation['idempotencyKey']}"
        for who, where in ((stranger, path), (stranger, f"/sandbox{path}"), (client, f"/sandbox{path}")):
            for way in ("/events", "?wait=30"):
                answer = await who.call("GET", where + way)
                assert answer.status == 404
                assert answer.body["errors"][0]["code"] == "mutation_not_found"


@pytest.mark.timeout(400)
async def test_followers_survive_two_restarts_of_the_gateway(client: Client) -> None:
    present(client.handle)
    async with downloading(client) as accepted:
        path = f"/mutations/{accepted.mutation['idempotencyKey']}"
        stream, seen = Follower(client, f"{path}/events"), Counter[int]()
        following = asyncio.create_task(stream.follow())
        waiting = asyncio.create_task(waited(client, path, seen))
        for restarts in range(3):

            async def listening(connections: int = restarts + 1) -> None:
                assert stream.connections >= connections

            await eventually(listening)
            if restarts < 2:
                await restarted(client)
    statuses = await following
    assert statuses in (["accepted", "completed"], ["accepted", "applying", "completed"])
    assert (await waiting)["status"] == "completed"
    assert set(stream.statuses) <= {200, 204, 503}
    assert set(seen) <= {200, 503}
    assert seen[200] >= 2, "a wait that was in hand when the gateway left got the present state"
