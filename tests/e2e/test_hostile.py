"""URLs that lead to this machine are refused by a stack that does not allow loopback, and nothing ever knocks there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.stack import EmbeddedStack
from tests.e2e.client import Answer, Client, open_client, person
from tests.hostile_urls import HOSTILE_URLS
from tests.retry import eventually

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.255.255.254", "::1")
PORTS = (80, 443, 8080, 8443)


@dataclass
class Listeners:
    """Servers on loopback that count who connects, where this machine lets us listen."""

    bound: list[tuple[str, int]] = field(default_factory=list)
    accepts: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def listen(self, address: str, port: int) -> asyncio.Server:
        """Count connections to this address; raises OSError when it is taken or not ours to take."""

        async def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.accepts[address, port] += 1
            writer.close()

        server = await asyncio.start_server(taken, address, port)
        self.bound.append((address, port))
        return server

    async def prove(self) -> None:
        """Each of them counts: connect once, and forget it."""
        for address, port in self.bound:
            _, writer = await asyncio.open_connection(address, port)
            writer.close()

        async def counted() -> None:
            assert self.accepts == Counter(self.bound)

        await eventually(counted)
        self.accepts.clear()


@asynccontextmanager
async def open_listeners() -> AsyncIterator[Listeners]:
    """On every address and port that is free."""
    listeners = Listeners()
    async with AsyncExitStack() as servers:
        for address in ADDRESSES:
            for port in PORTS:
                with suppress(OSError):
                    await servers.enter_async_context(await listeners.listen(address, port))
        await listeners.prove()
        yield listeners


async def ended(client: Client, answers: list[Answer]) -> None:
    """Wait for what was accepted, so that a late connection is seen, too."""
    for answer in answers:
        if answer.status != 202:
            continue
        key = answer.body["data"]["idempotencyKey"]

        async def over(key: str = key) -> None:
            view = await client.call("GET", f"/mutations/{key}")
            assert view.body["data"]["status"] not in {"accepted", "applying"}

        await eventually(over, seconds=90)


@pytest.mark.timeout(240)
async def test_hostile_urls_are_refused_and_nothing_is_dialled(tmp_path: Path) -> None:
    assert len(HOSTILE_URLS) >= 120
    async with EmbeddedStack(tmp_path, allow_loopback=False) as stack, open_client(stack.handle) as client:
        async with open_listeners() as listeners:
            assert {port for _, port in listeners.bound} & {8080, 8443}, "no port to listen on: the test shows nothing"
            answers: dict[tuple[str, str], Answer] = {}
            for url in HOSTILE_URLS:
                source = {"filename": "cv.pdf", "url": url}
                answers["url", url] = await client.call("POST", "/candidates", person(curriculumVitae=[source]))
                answers["callbackUrl", url] = await client.call("POST", "/candidates", person(callbackUrl=url))
            await ended(client, list(answers.values()))
            assert listeners.accepts == Counter()
        assert {place: answer.status for place, answer in answers.items() if answer.status != 422} == {}
