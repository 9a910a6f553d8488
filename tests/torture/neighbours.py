"""Bad neighbours: a tenant that floods, whose sources trickle or say nothing, whose receivers hang or refuse.

Each is busy while its block runs, and has nothing unfinished behind it, but for callbacks that nobody takes.
"""

import asyncio
import itertools
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from deploy.lab.raw import OK
from tests.e2e.client import Client, Json, person
from tests.retry import eventually
from tests.torture.delays import NOTE, Watched, watched

SENDERS = 16
TRICKLE = b"x" * 10_240  # twice a second: just fast enough to be waited for, for a minute
DROP_SECONDS = 0.5
LOOK_SECONDS = 0.2
FILE = b"Some text."


@dataclass(frozen=True, slots=True)
class Neighbour:
    """`busy` is whether something of its own still waits, `sent` what it has sent."""

    busy: Callable[[], bool]
    sent: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Amount:
    """So many at once, and so many again whenever fewer than `least` are unfinished."""

    at_once: int
    least: int = 0


@dataclass
class Stuck:
    """A server on these addresses that takes requests and gives a little of an answer, or nothing, until released."""

    hosts: list[str]
    drop: bytes = b""
    urls: list[str] = field(default_factory=list)
    at_once: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, late."""
        self.at_once += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                if not self.released.is_set():
                    await self._linger(writer)
                writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(FILE) + FILE)
                await writer.drain()
        finally:
            self.at_once -= 1
            writer.close()

    async def _linger(self, writer: asyncio.StreamWriter) -> None:
        if self.drop:
            writer.write(OK + b"Content-Length: 20000000\r\n\r\n")
        while not self.released.is_set():
            writer.write(self.drop)
            await writer.drain()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.released.wait(), DROP_SECONDS)
        if self.drop:
            raise ConnectionError("broken off")


@asynccontextmanager
async def open_stuck(hosts: list[str], drop: bytes = b"") -> AsyncIterator[Stuck]:
    """Serving; released at the end."""
    stuck = Stuck(hosts, drop)
    async with AsyncExitStack() as servers:
        for host in hosts:
            server = await asyncio.start_server(stuck.serve, host, 0)
            servers.callback(server.close)
            stuck.urls.append(f"http://{host}:{server.sockets[0].getsockname()[1]}")
        try:
            yield stuck
        finally:
            stuck.released.set()
            await asyncio.sleep(DROP_SECONDS)


@asynccontextmanager
async def _sending(
    mine: Watched, amount: Amount, body: Callable[[int], Json], path: str = "/candidates", method: str = "POST"
) -> AsyncIterator[None]:
    """All that are sent at once are accepted when the block begins."""
    numbers = itertools.count()

    async def some() -> None:
        left = iter(range(amount.at_once))

        async def sender() -> None:
            for _ in left:
                await mine.send(body(next(numbers)), path, method)

        await asyncio.gather(*(sender() for _ in range(SENDERS)))

    async def more() -> None:
        while amount.least:
            await asyncio.sleep(LOOK_SECONDS)
            if mine.unfinished < amount.least:
                await some()

    await some()
    refilling = asyncio.create_task(more())
    try:
        yield
    finally:
        refilling.cancel()
        await asyncio.gather(refilling, return_exceptions=True)


def _at_work(mine: Watched) -> Neighbour:
    return Neighbour(lambda: mine.unfinished > 0, lambda: len(mine.accepted))


@asynccontextmanager
async def flood(client: Client, amount: Amount) -> AsyncIterator[Neighbour]:
    """Creates as fast as the gateway takes them."""
    mine = watched(client)
    async with _sending(mine, amount, lambda _: person(otherAttachments=[NOTE])):
        yield _at_work(mine)
    await mine.all_ended()


@asynccontextmanager
async def flood_of_one_record(client: Client, amount: Amount) -> AsyncIterator[Neighbour]:
    """Updates of one record, each of which has to wait for the one before it."""
    mine = watched(client)
    created = await client.write("POST", "/candidates", person())
    path = f"/candidates/{created.mutation['record']['id']}"
    async with _sending(mine, amount, lambda number: {"firstName": f"Test {number}"}, path, "PATCH"):
        yield _at_work(mine)
    await mine.all_ended(300)


@asynccontextmanager
async def slow_host(client: Client, amount: Amount) -> AsyncIterator[Neighbour]:
    """Files that trickle, all from one host."""
    mine = watched(client)
    async with open_stuck(["127.0.0.2"], TRICKLE) as stuck:
        [url] = stuck.urls
        file = {"filename": "cv.txt", "url": f"{url}/cv"}
        async with _sending(mine, amount, lambda _: person(curriculumVitae=[file])):
            yield Neighbour(lambda: mine.unfinished > 0 and stuck.at_once > 0, lambda: len(mine.accepted))
        stuck.released.set()
        await mine.all_ended(300)


@asynccontextmanager
async def silent_hosts(client: Client, amount: Amount) -> AsyncIterator[Neighbour]:
    """Ten files in each mutation, from many hosts that say nothing: more downloads than there are places."""
    mine = watched(client)
    async with open_stuck([f"127.0.1.{number}" for number in range(1, 101)]) as stuck:
        urls = itertools.cycle(stuck.urls)

        def files() -> list[Json]:
            return [{"filename": f"{number}.txt", "url": f"{next(urls)}/{number}"} for number in range(5)]

        async with _sending(mine, amount, lambda _: person(curriculumVitae=files(), otherAttachments=files())):
            yield Neighbour(lambda: mine.unfinished > 0 and stuck.at_once > 0, lambda: len(mine.accepted))
        stuck.released.set()
        await mine.all_ended(300)


@asynccontextmanager
async def dead_receivers(client: Client, amount: Amount) -> AsyncIterator[Neighbour]:
    """Half of the callbacks go where nobody answers, half where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.3", 0))  # and never listens
        async with open_stuck(["127.0.0.4"]) as stuck:
            dead = [f"http://127.0.0.3:{closed.getsockname()[1]}/hook", f"{stuck.urls[0]}/hook"]
            mine, urls, name = watched(client), itertools.cycle(dead), secrets.token_hex(8)

            def called_back_there(number: int) -> Json:
                return person(idempotencyKey=f"{name}-{number}", callbackUrl=next(urls))

            async with _sending(mine, amount, called_back_there):
                # Only the callbacks are to be in anybody's way.
                for number in range(amount.at_once):
                    await eventually(partial(_has_ended, client, f"{name}-{number}"), 300)
                yield Neighbour(lambda: stuck.at_once > 0, lambda: len(mine.accepted))


async def _has_ended(client: Client, key: str) -> None:
    assert (await client.call("GET", f"/mutations/{key}")).body["data"]["status"] == "completed"
