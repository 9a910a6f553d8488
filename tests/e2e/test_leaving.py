"""SIGTERM with work in hand: finished or handed back, exit code 0, in time, also when a server of ours is away."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from deploy.demo.samples import curriculum_vitae
from deploy.stack import EmbeddedStack
from deploy.stack.answers import says_ok
from deploy.stack.services import SERVICES
from tests.conftest import STACK
from tests.e2e.client import Client, open_client, person
from tests.e2e.flood import Flood
from tests.retry import eventually

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]
NOTICE_SECONDS = 3


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """A stack that others don't need to be whole."""
    env = {"ingest": {"ENGINE_NOTICE_SECONDS": str(NOTICE_SECONDS)}}
    directory = tmp_path_factory.mktemp("leaving")
    with EmbeddedStack(directory, broker="kafka" if STACK == "kafka" else "tansu", env=env) as stack:
        yield stack


@pytest.fixture
async def client(own: EmbeddedStack) -> AsyncIterator[Client]:
    await eventually(lambda: ready(own), 60)
    async with open_client(own.handle) as opened:
        yield opened


def port_of(stack: EmbeddedStack, service: str) -> int:
    ports = json.loads((stack.state_dir / "ports.json").read_text())
    return int(ports["http" if service == "ingest" else f"{service}.health"])


async def ready(stack: EmbeddedStack) -> None:
    assert all([await says_ok(port_of(stack, service), "/readyz") for service in SERVICES])


async def draining(stack: EmbeddedStack, service: str) -> None:
    """Alive, and not ready."""
    assert await says_ok(port_of(stack, service), "/healthz")
    assert not await says_ok(port_of(stack, service), "/readyz")


class Leaving:
    """One SIGTERM, and how the process ended according to its supervisor."""

    def __init__(self, stack: EmbeddedStack, service: str) -> None:
        self._stack, self._service, self._before = stack, service, stack.console.count(f"{service} ended (")
        os.kill(stack.handle["processes"][service], signal.SIGTERM)

    async def ended(self) -> str:
        async def told() -> str:
            lines = [line for line in self._stack.console.splitlines() if f"{self._service} ended (" in line]
            assert len(lines) > self._before
            return lines[-1].partition("(")[2].partition(")")[0]

        return await eventually(told, 60)


async def with_a_file(client: Client) -> str:
    """A mutation whose download is under way."""
    name = f"{os.urandom(4).hex()}.pdf"
    client.site.origin.files[name] = curriculum_vitae()
    source = {"filename": "cv.pdf", "url": client.site.file_url(name)}
    answer = await client.write("POST", "/candidates", person(curriculumVitae=[source]))

    async def asked_for() -> None:
        assert client.site.origin.requests[name]

    await eventually(asked_for)
    return str(answer.mutation["mutationId"])


async def test_fetcher_finishes_the_download_in_hand(own: EmbeddedStack, client: Client) -> None:
    client.site.origin.gate.clear()
    mutation = await with_a_file(client)
    leaving = Leaving(own, "fetcher")
    await eventually(lambda: draining(own, "fetcher"))
    client.site.origin.gate.set()

    assert await leaving.ended() == "exit code 0"
    assert (await client.outcomes([mutation]))[mutation]["status"] == "completed"
    assert set(client.site.origin.requests.values()) == {1}, "it was finished, not begun anew"


async def test_fetcher_hands_a_download_back_that_does_not_end(own: EmbeddedStack, client: Client) -> None:
    client.site.origin.gate.clear()
    mutation = await with_a_file(client)
    leaving = Leaving(own, "fetcher")
    assert await leaving.ended() == "exit code 0"
    client.site.origin.gate.set()

    assert (await client.outcomes([mutation]))[mutation]["status"] == "completed"


async def test_notifier_hands_a_callback_back_that_is_not_answered(own: EmbeddedStack, client: Client) -> None:
    client.site.receiver.gate.clear()
    accepted = await client.write("POST", "/candidates", person())
    await client.outcome(accepted)
    leaving = Leaving(own, "notifier")
    await eventually(lambda: draining(own, "notifier"))
    assert await leaving.ended() == "exit code 0"
    client.site.receiver.gate.set()

    async def called_again() -> None:
        assert len(client.callbacks()[accepted.mutation["mutationId"]]) > 1

    await eventually(called_again, 40)  # the lease of a dead notifier would have lasted for a minute


async def test_ingest_answers_what_is_in_hand_and_tells_load_balancers(own: EmbeddedStack, client: Client) -> None:
    body = json.dumps(person(callbackUrl=client.callback_url)).encode()
    gate = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:10]
        await gate.wait()
        yield body[10:]

    headers = {"x-api-key": client.key, "content-type": "application/json"}
    url = own.handle["http"]
    sending = asyncio.create_task(client.session.post(f"{url}/candidates", data=slowly(), headers=headers))
    await asyncio.sleep(0.5)  # nothing hangs on it: a request that came later would be answered as well
    leaving = Leaving(own, "ingest")

    async def told() -> None:
        async with aiohttp.ClientSession() as fresh, fresh.get(f"{url}/readyz") as answer:
            assert (answer.status, answer.headers.get("Retry-After")) == (503, "2")

    await eventually(told, NOTICE_SECONDS)
    late = await client.write("POST", "/candidates", person())
    gate.set()
    async with await sending as answer:
        assert answer.status == 202
        (early,) = (await answer.json())["data"]["mutations"]

    assert await leaving.ended() == "exit code 0"
    outcomes = await client.outcomes([early["mutationId"], late.mutation["mutationId"]])
    assert {outcome["status"] for outcome in outcomes.values()} == {"completed"}


async def test_services_that_leave_in_the_middle_of_a_flood_lose_nothing(own: EmbeddedStack, client: Client) -> None:
    flood = Flood(client, 60)
    sending = asyncio.create_task(flood.send())
    await flood.completed(at_least=5)
    leaving = [Leaving(own, service) for service in SERVICES]

    assert [await each.ended() for each in leaving] == ["exit code 0"] * 4
    await sending
    await flood.all_stored_once()


@pytest.mark.parametrize("server", ["kafka", "mongodb", "s3"])
async def test_services_leave_in_time_though_a_server_is_away(own: EmbeddedStack, client: Client, server: str) -> None:
    flood = Flood(client, 60)
    sending = asyncio.create_task(flood.send())
    await flood.completed(at_least=5)
    away = own.handle["processes"][server]
    os.kill(away, signal.SIGSTOP)
    try:
        leaving = [Leaving(own, service) for service in SERVICES]
        how = [await each.ended() for each in leaving]
    finally:
        os.kill(away, signal.SIGCONT)
    assert not [each for each in how if "signal" in each], f"cut off by their supervisor: {how}"
    assert how == ["exit code 0"] * 4
    await sending
    await flood.all_stored_once()
