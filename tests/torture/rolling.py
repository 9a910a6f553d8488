"""Every replica of every service is stopped by SIGTERM and started again, one after another, behind a load balancer.

Clients write, wait for the ends of what they wrote, and follow them as events, all the while.
"""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import psutil

from deploy.stack.services import SERVICES
from tests.e2e.client import Answer, Client
from tests.retry import eventually
from tests.torture.balancer import balancing
from tests.torture.delays import in_ms
from tests.torture.facts import Facts
from tests.torture.load import Load
from tests.torture.scenario import Findings, Run
from tests.torture.verdict import judge
from tests.torture.watch import watching
from tests.torture.world import QUICK_SWEEPS, READY_SECONDS, World, open_world

NOTICE_SECONDS: Final = 1.0  # five looks of the balancer
SETTLED_SECONDS: Final = 5.0  # minReadySeconds of the manifests: its group has dealt out partitions anew by then
START_SECONDS: Final = 3.0  # from the start of a process until it is ready
REFUSED_SECONDS: Final = 0.1  # before a client connects again
WAIT_SECONDS: Final = 5
# Members that come and go without a name, as those of a deployment do, and a gateway that gives notice.
NAMELESS: Final = {"ENGINE_KAFKA_INSTANCE_ID": ""}
OWN: Final = dict.fromkeys(SERVICES, NAMELESS) | {"ingest": NAMELESS | {"ENGINE_NOTICE_SECONDS": str(NOTICE_SECONDS)}}


@dataclass(frozen=True, slots=True)
class Size:
    """How often everything is restarted, at how many mutations a second, after how many seconds without."""

    rounds: int
    replicas: int  # of each service that are restarted
    per_second: float
    undisturbed: float
    waiting: int  # clients that wait for ends, half of them by streams


SHORT: Final = Size(1, 1, 8.0, 3.0, 2)
LONG: Final = Size(4, 2, 10.0, 30.0, 8)


@dataclass(frozen=True, slots=True)
class Restart:
    """Of one process; times on the clock of this machine that never goes back."""

    name: str
    told: float
    ready: float
    starting: float  # seconds from the process's start until it was ready

    @property
    def seconds(self) -> float:
        """From SIGTERM until it takes work again."""
        return self.ready - self.told


@dataclass
class Seen:
    """What clients got."""

    statuses: Counter[str] = field(default_factory=Counter)  # of answers, by method and status
    refused: Counter[str] = field(default_factory=Counter)  # connections that ended before an answer, by error
    broken: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, status: int, retry_after: str | None) -> None:
        """Count it; no 5xx but a 503 that says when to come again."""
        self.statuses[f"{method} {status}"] += 1
        if status >= 500 and not (status == 503 and retry_after):
            self.broken.append(f"{method} {path} was answered with {status}, Retry-After: {retry_after}")


@dataclass
class PatientClient(Client):
    """Connects again when nobody has answered, and counts; an answer that is cut off is a broken promise."""

    seen: Seen = field(default_factory=Seen)

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """The answer, from whoever gives one."""
        while True:
            try:
                answer = await super().call(method, path, body, **headers)
            except aiohttp.ClientPayloadError as error:
                self.seen.broken.append(f"the answer to {method} {path} was cut off: {error!r}")
                raise
            except (aiohttp.ClientConnectionError, ConnectionError) as error:
                self.seen.refused[type(error).__name__] += 1
                await asyncio.sleep(REFUSED_SECONDS)
            else:
                self.seen.answer(method, path, answer.status, answer.headers.get("Retry-After"))
                return answer


@dataclass
class Followers:
    """Clients that wait for the ends of mutations that were promised, by long requests and by streams."""

    client: PatientClient
    load: Load
    ended: Counter[str] = field(default_factory=Counter)  # by way

    @asynccontextmanager
    async def at_work(self, number: int) -> AsyncIterator[None]:
        """So many of them, while the block runs."""
        tasks = [asyncio.create_task(self._follow(streams=bool(one % 2))) for one in range(number)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    self.client.seen.broken.append(f"a follower failed: {result!r}")

    async def _follow(self, streams: bool) -> None:
        """The latest one that was promised, again and again."""
        last = ""
        while True:
            latest = next((write.key for write in reversed(self.load.writes) if not write.by_topic), "")
            if latest == last:
                await asyncio.sleep(REFUSED_SECONDS)
                continue
            last, path = latest, f"/mutations/{latest.replace('#', '%23')}"
            await (self._streamed(path) if streams else self._waited(path))

    async def _waited(self, path: str) -> None:
        while True:
            answer = await self.client.call("GET", f"{path}?wait={WAIT_SECONDS}")
            if answer.status == 200 and answer.body["data"]["endedAt"]:
                self.ended["by waiting"] += 1
                return
            if answer.status != 200:
                await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))

    async def _streamed(self, path: str) -> None:
        told: list[str] = []
        while await self._stream(f"{path}/events", told) != 204:  # noqa: ASYNC110  as such clients do
            await asyncio.sleep(REFUSED_SECONDS)
        if sorted(set(told)) != told or told[-1] != "3":
            self.client.seen.broken.append(f"the stream of {path} told {told}")
        self.ended["by a stream"] += 1

    async def _stream(self, path: str, told: list[str]) -> int:
        headers = {"x-api-key": self.client.key} | ({"Last-Event-ID": told[-1]} if told else {})
        try:
            async with self.client.session.get(self.client.handle["http"] + path, headers=headers) as answer:
                self.client.seen.answer("GET", path, answer.status, answer.headers.get("Retry-After"))
                async for line in answer.content:
                    if line.startswith(b"id: "):
                        told.append(line.decode().removeprefix("id: ").strip())
                return answer.status
        except aiohttp.ClientPayloadError as error:
            self.client.seen.broken.append(f"the stream {path} was cut off: {error!r}")
        except (aiohttp.ClientConnectionError, ConnectionError) as error:
            self.client.seen.refused[type(error).__name__] += 1
        return 0


async def _restarted(world: World, name: str) -> Restart:
    """SIGTERM, and wait until it is there again; a replica has no supervisor but us."""
    clock = asyncio.get_running_loop().time
    before, told = world.process(name), clock()
    assert before, f"{name} does not live"
    if child := world.replicas.get(name):
        child.signal(signal.SIGTERM)
        assert await child.exited() == "exit code 0", f"{name} did not leave by itself"
        child.start()
    else:
        before.send_signal(signal.SIGTERM)

    async def another() -> psutil.Process:
        found = world.process(name)
        assert found, f"{name} was not started again"
        assert found.pid != before.pid
        return found

    now = await eventually(another, READY_SECONDS)
    await world.ready(name)
    return Restart(name, told, clock(), time.time() - now.create_time())


def _delays(facts: Facts, load: Load, since: float, until: float) -> list[float]:
    """Seconds to the first callback, of all mutations that were promised between these times."""
    by_key = facts.by_key()
    called: dict[str, float] = {}
    for callback in facts.callbacks:
        called.setdefault(json.loads(callback.body)["data"]["mutationId"], callback.at)
    promised = [(write.answered, by_key[write.key]["_id"]) for write in load.writes if write.key in by_key]
    return [called[name] - at for at, name in promised if since <= at < until and name in called]


async def _roll(world: World, size: Size) -> list[Restart]:
    restarts: list[Restart] = []
    of = size.rounds * size.replicas * len(SERVICES)
    world.run.counted["restarts"] = lambda: f"{len(restarts)} of {of}"
    for _ in range(size.rounds):
        for service in SERVICES:
            for name in (f"{service}-2", service)[: size.replicas]:
                restarts.append(await _restarted(world, name))
                await asyncio.sleep(0 if world.run.short else SETTLED_SECONDS)
    return restarts


async def play(run: Run) -> Findings:
    """See the module."""
    size, findings, seen = (SHORT if run.short else LONG), Findings(), Seen()
    clock = asyncio.get_running_loop().time
    env = {name: {**OWN[name], **(QUICK_SWEEPS.get(name, {}) if run.short else {})} for name in SERVICES}
    async with open_world(run, env) as world:
        replicas = [world.start_replica(service, 2, NAMELESS) for service in SERVICES]
        for name in replicas:
            await world.ready(name)
        async with balancing([world.port("ingest"), world.port("ingest-2")]) as balancer:
            await world.ready("ingest")
            plain = world.client
            handle = plain.handle | {"http": balancer.url}
            client = PatientClient(handle, plain.site, plain.session, plain.tenant, plain.hook, seen)
            world.client = client
            load = Load(world, 1_000_000, size.per_second)
            run.counted["writes"] = lambda: f"{len(load.writes):,}"
            followers = Followers(client, load)
            async with watching(world, load.writes) as watch, followers.at_work(size.waiting):
                begun = clock()
                sending = asyncio.create_task(load.send())
                await asyncio.sleep(size.undisturbed)
                middle = clock()
                restarts = await _roll(world, size)
                load.size = 0  # enough
                ended = clock()
                await sending
            world.client = plain
        for name in replicas:
            await world.stop_replica(name)
        facts = await judge(world, load.writes, findings, replay=not run.short)
    usual, meanwhile = _delays(facts, load, begun, middle), _delays(facts, load, middle, ended)
    _judge_times(findings, restarts, usual, meanwhile, strict=not run.short)
    findings.figures |= {
        "answers by status": dict(sorted(seen.statuses.items())),
        "connections that ended before an answer": dict(seen.refused),
        "connections that another replica got": balancer.refused,
        "connections for which there was no replica": balancer.alone,
        "ends that clients waited for": dict(followers.ended),
        "requests repeated": load.repeated,
        "committed events looked at": watch.passed,
    }
    findings.broken += seen.broken + watch.broken
    findings.expect(set(followers.ended) == {"by waiting", "by a stream"}, f"who waited: {dict(followers.ended)}")
    return findings


def _judge_times(
    findings: Findings, restarts: list[Restart], usual: list[float], meanwhile: list[float], strict: bool
) -> None:
    """Figures of restarts and callbacks; the long form holds them against what is promised."""
    starting = {
        service: sorted(round(each.starting, 2) for each in restarts if each.name.startswith(service))
        for service in SERVICES
    }
    longest = max(each.seconds for each in restarts)
    findings.figures |= {
        "restarts": len(restarts),
        "restarts by process": dict(Counter(each.name for each in restarts)),
        "seconds from SIGTERM to ready, longest": round(longest, 2),
        "seconds from start to ready": starting,
        "ms to the callback without restarts": in_ms(usual),
        "ms to the callback with restarts": in_ms(meanwhile),
    }
    late = max(meanwhile, default=0.0) - max(usual, default=0.0)
    findings.figures["latest callback, seconds beyond the latest one without restarts"] = round(late, 2)
    findings.expect(bool(usual and meanwhile), "nothing was called back")
    if strict:
        findings.expect(
            late <= longest, f"a callback was late by {late:.1f} s, the longest restart took {longest:.1f} s"
        )
        for service, seconds in starting.items():
            middle = seconds[len(seconds) // 2]
            findings.expect(middle <= START_SECONDS, f"{service} was ready {middle} s after its start (median)")
