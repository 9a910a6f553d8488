"""Kafka, MongoDB and the object store away for a minute each, stopped or cut off, while writes go on coming in."""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from deploy.stack.ports import LOOPBACK, Ports
from deploy.stack.services import SERVICES
from tests.e2e.client import Answer, Client, Json
from tests.retry import eventually
from tests.torture.facts import unfinished
from tests.torture.load import FILE_BYTES, Load, Write
from tests.torture.proxy import Mode, Proxy
from tests.torture.scenario import Findings, Run
from tests.torture.verdict import PATIENCE_SECONDS, judge
from tests.torture.world import READY_SECONDS, World, open_world

REFUSED_SECONDS: Final = 2.0  # within which a 503 must be there
FINISHED_SECONDS: Final = 60.0  # within which all is done once Kafka is back
LOOK_SECONDS: Final = 0.5
LARGE_BYTES: Final = 300 * 1024  # staged by the gateway itself, if it comes as base64


@dataclass(frozen=True, slots=True)
class Size:
    """Seconds without a server, and mutations sent meanwhile; `longer`: so long Kafka waits for the last 202."""

    away: float
    without_kafka: int
    without_mongodb: int
    without_s3: int
    longer: float

    def rate(self, mutations: int) -> float:
        """Mutations a second, so that all are sent well before the server is back."""
        return mutations / (0.75 * self.away)


WARM_UP: Final = 10  # mutations before the first outage
AFTERWARDS: Final = 30  # after each: services learn from use that a server is back
THEIR_OWN: Final = {"nothing_removed"}  # ends of writes that would end so without any outage, too

SHORT: Final = Size(5.0, 40, 10, 20, 60.0)
LONG: Final = Size(60.0, 1000, 60, 200, 0.0)
Away = Callable[[World], AbstractAsyncContextManager[None]]


class NotingClient(Client):
    """Keeps every 503 with the seconds that it took."""

    refusals: list[tuple[float, Answer]]

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """See Client."""
        clock = asyncio.get_running_loop().time
        began = clock()
        answer = await super().call(method, path, body, **headers)
        if answer.status == 503:
            self.refusals.append((clock() - began, answer))
        return answer


def noting(client: Client) -> NotingClient:
    """The same client, which keeps refusals."""
    made = NotingClient(client.handle, client.site, client.session, client.tenant, client.hook)
    made.refusals = []
    return made


@dataclass
class Outage:
    """One server away in one way: what was accepted meanwhile, what was refused, how long the rest took."""

    name: str
    away: Away
    mutations: int
    accepted: int = 0
    sent: int = 0
    finished_seconds: float = 0.0
    left: dict[str, int] = field(default_factory=dict)
    refusals: list[tuple[float, Answer]] = field(default_factory=list)
    told: int = 0  # services whose metrics told of it

    async def play(self, world: World, size: Size) -> list[Write]:
        """Take the server away, write, bring it back, wait until all is done."""
        clock = asyncio.get_running_loop().time
        client = noting(world.client)
        file_bytes = LARGE_BYTES if self.server == "s3" else FILE_BYTES
        load = Load(world, self.mutations, size.rate(self.mutations), topic_share=0.0, file_bytes=file_bytes)
        load.client = client
        async with self.away(world):
            sending = asyncio.create_task(load.send())
            await asyncio.sleep(size.away)
            if self.server == "kafka":  # on a busy machine accepting takes its time, but never Kafka
                await asyncio.wait({sending}, timeout=size.longer)
            self.accepted = len(load.writes)
            self.told = sum([await self._told_by(world, name) for name in SERVICES])
        back = clock()
        await sending
        self.left = await _finished(world, load.writes)
        self.finished_seconds = clock() - back
        self.refusals, self.sent = client.refusals, len(load.writes)
        return load.writes

    async def _told_by(self, world: World, service: str) -> bool:
        _, metrics = await world.look(service, "/metrics")
        found = re.search(rf'^engine_dependency_lost_seconds{{dependency="{self.server}"}} (.+)$', metrics, re.M)
        return found is not None and float(found[1]) > 0

    @property
    def server(self) -> str:
        """Which one is away."""
        return self.name.split()[0]

    @property
    def slowest(self) -> float:
        """Seconds."""
        return max((seconds for seconds, _ in self.refusals), default=0.0)

    def figures(self) -> dict[str, Any]:
        """For the report."""
        return {
            "accepted while away": f"{self.accepted} of {self.sent}",
            "services that told of it": self.told,
            "refused with 503": len(self.refusals),
            "slowest 503, s": round(self.slowest, 2),
            "all finished after, s": round(self.finished_seconds, 1),
            "left": self.left,
        }


async def _finished(world: World, writes: list[Write]) -> dict[str, int]:
    """Wait until nothing is under way, or nothing moves any more; what is left."""
    clock = asyncio.get_running_loop().time
    seen, since = await unfinished(world, writes), clock()
    while seen and clock() - since < PATIENCE_SECONDS:
        await asyncio.sleep(LOOK_SECONDS)
        left = await unfinished(world, writes)
        if left != seen:
            seen, since = left, clock()
    return seen


def stopped(name: str) -> Away:
    """The process stands still: connections stay, and nothing is answered."""

    @asynccontextmanager
    async def away(world: World) -> AsyncIterator[None]:
        world.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            world.signal(name, signal.SIGCONT)

    return away


def gone(name: str) -> Away:
    """The process is dead and nobody starts it again: connections are refused."""

    @asynccontextmanager
    async def away(world: World) -> AsyncIterator[None]:
        with world.nobody_restarts():
            world.signal(name, signal.SIGKILL)
            yield

    return away


def cut(proxy: Proxy, mode: Mode) -> Away:
    """The network is what is broken."""

    @asynccontextmanager
    async def away(world: World) -> AsyncIterator[None]:
        await proxy.switch(mode)
        try:
            yield
        finally:
            await proxy.switch(Mode.PASS)

    return away


WAYS: Final = {"stopped": stopped, "gone": gone}


async def play(run: Run) -> Findings:
    """See the module."""
    findings = Findings()
    if run.short:
        every = [Outage("kafka stopped", stopped("kafka"), SHORT.without_kafka)]
        every += [Outage("mongodb stopped", stopped("mongodb"), SHORT.without_mongodb)]
        every += [Outage("s3 gone", gone("s3"), SHORT.without_s3)]
        await _play(run, SHORT, every, findings)
        return findings
    every = [Outage(f"kafka {how}", way("kafka"), LONG.without_kafka) for how, way in WAYS.items()]
    every += [Outage("mongodb stopped", stopped("mongodb"), LONG.without_mongodb)]
    every += [Outage("s3 stopped", stopped("s3"), LONG.without_s3)]
    await _play(run, LONG, every, findings)
    await _play_behind_proxies(replace(run, directory=run.directory / "proxies"), findings)
    return findings


async def _play_behind_proxies(run: Run, findings: Findings) -> None:
    """A network that is cut, or swallows everything, in front of servers that are well."""
    run.directory.mkdir(exist_ok=True)
    ports = Ports(run.directory / "ports.json")  # the same that the stack will take
    async with Proxy(LOOPBACK, ports["mongodb"]) as mongodb, Proxy(LOOPBACK, ports["s3"]) as s3:
        # Without directConnection the driver would ask the server where it lives, and go there.
        through = {"ENGINE_MONGODB_URI": f"mongodb://{LOOPBACK}:{mongodb.port}/?directConnection=true"}
        through |= {"ENGINE_S3_ENDPOINT": f"http://{LOOPBACK}:{s3.port}"}
        every = [
            Outage("mongodb cut", cut(mongodb, Mode.CUT), LONG.without_mongodb),
            Outage("mongodb silent", cut(mongodb, Mode.SILENT), LONG.without_mongodb),
            Outage("s3 cut", cut(s3, Mode.CUT), LONG.without_s3),
        ]
        await _play(run, LONG, every, findings, through)


async def _play(
    run: Run, size: Size, every: Sequence[Outage], findings: Findings, env: Mapping[str, str] | None = None
) -> None:
    async with open_world(run, dict.fromkeys(SERVICES, env or {})) as world:
        writes = await Load(world, WARM_UP, topic_share=0.0).send()
        for outage in every:
            run.counted["now"] = partial(str, outage.name)
            writes += await outage.play(world, size)
            findings.figures[outage.name] = outage.figures()
            _expect(outage, findings, timed=not run.short)
            writes += await Load(world, AFTERWARDS, topic_share=0.0).send()
            for name in SERVICES:
                await eventually(partial(_well, world, name), READY_SECONDS)
        judged = Findings()
        facts = await judge(world, writes, judged, replay=not run.short)
    findings.broken += judged.broken
    failed = Counter(_code(each) for each in facts.mutations.values() if each["status"] == "failed")
    of_ours = {code: count for code, count in failed.items() if code not in THEIR_OWN}
    findings.figures["lost"] = findings.figures.get("lost", 0) + judged.figures["lost"]
    findings.figures["failed"] = findings.figures.get("failed", 0) + sum(of_ours.values())
    findings.expect(not of_ours, f"mutations failed: {of_ours}")


def _code(mutation: Json) -> str:
    return str(((mutation.get("outcome") or {}).get("error") or {}).get("code"))


def _expect(outage: Outage, findings: Findings, timed: bool) -> None:
    server, name = outage.server, outage.name
    findings.expect(not outage.left, f"{name}: these never ended: {outage.left}")
    findings.expect(outage.told > 0, f"{name}: no service told of it")
    if server == "kafka":
        all_of_them = outage.accepted == outage.sent >= outage.mutations
        findings.expect(all_of_them, f"{name}: only {outage.accepted} of {outage.sent} were accepted meanwhile")
        findings.expect(not (timed and outage.refusals), f"{name}: {len(outage.refusals)} writes were refused")
        took = f"{name}: all finished {outage.finished_seconds:.0f} s after its return"
        findings.expect(not timed or outage.finished_seconds <= FINISHED_SECONDS, took)
    if server == "mongodb":
        findings.expect(bool(outage.refusals), f"{name}: nothing was refused, so nothing is shown")
        odd = [answer for _, answer in outage.refusals if not _is_problem(answer)]
        findings.expect(not odd, f"{name}: 503 that is no problem with Retry-After: {odd[:1]}")
        slow = f"{name}: a 503 took {outage.slowest:.2f} s"
        findings.expect(not timed or outage.slowest < REFUSED_SECONDS, slow)


def _is_problem(answer: Answer) -> bool:
    kind, after = answer.headers.get("Content-Type", ""), answer.headers.get("Retry-After", "")
    return kind.startswith("application/problem+json") and after.isdigit() and answer.body["status"] == 503


async def _well(world: World, name: str) -> None:
    status, said = await world.look(name, "/healthz")
    assert (status, said) == (200, "ok\n"), f"{name} still says {said}"
