"""SIGSTOP for longer than session and lease: another replica takes over, and who wakes up with old work is refused."""

import asyncio
import re
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import psutil

from deploy.stack.services import SERVICES
from tests.torture.faults import PointFaults
from tests.torture.load import Load
from tests.torture.scenario import Findings, Run
from tests.torture.verdict import judge
from tests.torture.watch import watching
from tests.torture.world import LEASE_SECONDS, QUICK_SWEEPS, SESSION_SECONDS, World, open_world

RANDOM_SHARE: Final = 0.2
ASLEEP: Final = (SESSION_SECONDS + 2.0, SESSION_SECONDS + 6.0)  # longer than session and lease: others take over
PASSING_SECONDS: Final = 8.0  # a group that has just got a member back takes its time
AWAKE_SECONDS: Final = 2.5  # for what a woken process tries with what it had in hand
REFUSALS: Final = re.compile(r"^engine_(commit_errors|late_writes)_total\{\w+=\"([\w.]+)\"\} ([0-9.]+)$", re.MULTILINE)


# Attempts that were in flight when the notifier was stopped end in time-outs of its own making. Three in a row, and the
# receiver counts as dead for minutes; so fewer are in flight.
FEW_IN_FLIGHT: Final = {"notifier": {"ENGINE_CALLBACKS_PER_HOST": "2"}}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it; `services` are those that are stopped."""

    mutations: int
    stops: int
    per_second: float
    refusals: int
    services: tuple[str, ...] = SERVICES


SHORT: Final = Size(100, 3, 8.0, 1, ("storage", "notifier", "fetcher"))
LONG: Final = Size(3_500, 100, 8.0, 50)


@dataclass
class Stopper:
    """One hand a service, so stops of different services overlap and one replica of each goes on."""

    world: World
    points: PointFaults
    wanted: int
    stops: Counter[str] = field(default_factory=Counter)  # by service
    answered: int = 0  # stops after which the woken process was refused something
    refused: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)  # by process: name, id

    @property
    def refusals(self) -> Counter[str]:
        """All that were seen, by what was refused."""
        return sum(self.refused.values(), Counter())

    async def run(self, services: tuple[str, ...]) -> None:
        """Stop and wake until it is enough."""
        await asyncio.gather(*(self._hand(service) for service in services))

    async def _hand(self, service: str) -> None:
        rng = self.world.rng
        while self.stops.total() < self.wanted:
            self.stops[service] += 1  # before it, so that the hands together don't do more than is wanted
            await asyncio.sleep(rng.uniform(0.0, 1.0))
            name = await self._stop(service)
            await asyncio.sleep(rng.uniform(*ASLEEP))
            self.world.signal(name, signal.SIGCONT)
            before = self._seen(name)
            await asyncio.sleep(AWAKE_SECONDS)
            await self.look(name)
            self.answered += self._seen(name) > before

    async def _stop(self, service: str) -> str:
        """Stop one of its replicas, at a point or at random; its name."""
        rng, names = self.world.rng, [service, f"{service}-2"]
        for name in names:
            await self.look(name)
        chosen = set() if rng.random() < RANDOM_SHARE else self.points.choice(service, rng)
        if chosen and await self.points.strike(chosen, PASSING_SECONDS):
            return next(name for name in names if self._stopped(name))
        while True:
            name = rng.choice(names)
            if self.world.signal(name, signal.SIGSTOP):
                return name
            await asyncio.sleep(0.1)

    def _stopped(self, name: str) -> bool:
        found = self.world.process(name)
        return found is not None and found.status() == psutil.STATUS_STOPPED

    def _seen(self, name: str) -> int:
        return sum(counts.total() for (other, _), counts in self.refused.items() if other == name)

    async def look(self, name: str) -> None:
        """Read what a process counts; the last look at a process that has ended counts on."""
        if not (found := self.world.process(name)):
            return
        try:
            status, text = await self.world.look(name, "/metrics")
        except (aiohttp.ClientError, TimeoutError):
            return
        if status == 200:
            seen = {f"{kind} {what}": int(float(count)) for kind, what, count in REFUSALS.findall(text)}
            self.refused[name, found.pid] = Counter(seen)


async def play(run: Run) -> Findings:
    """See the module."""
    size, findings = (SHORT if run.short else LONG), Findings()
    async with open_world(run, FEW_IN_FLIGHT | (QUICK_SWEEPS if run.short else {})) as world:
        replicas = [world.start_replica(service, 2) for service in size.services]
        for name in replicas:
            await world.ready(name)
        load = Load(world, size.mutations, size.per_second)
        stopper = Stopper(world, PointFaults(world, "SIGSTOP"), size.stops)
        run.counted["stops"] = lambda: f"{stopper.stops.total()} of {size.stops}"
        async with watching(world, load.writes) as watch:
            await asyncio.gather(load.send(), stopper.run(size.services))
        for name in (*SERVICES, *replicas):
            await stopper.look(name)
        for name in replicas:
            await world.stop_replica(name)
        await judge(world, load.writes, findings, replay=not run.short)
    findings.broken += watch.broken
    refusals = stopper.refusals
    findings.figures |= {
        "stops": stopper.stops.total(),
        "stops by service": dict(stopper.stops),
        "stops at points": stopper.points.by_point(),
        "refusals seen": refusals.total(),
        "refusals by kind": dict(refusals),
        "stops after which something was refused": stopper.answered,
        "stale writes accepted": len(watch.broken) + findings.figures["wrong"] + findings.figures["double"],
        "shortest stop, seconds": ASLEEP[0],
        "session and lease, seconds": (SESSION_SECONDS, LEASE_SECONDS),
        "looks at running states": watch.looks,
        "committed events looked at": watch.passed,
    }
    findings.expect(stopper.stops.total() >= size.stops, f"only {stopper.stops.total()} of {size.stops} stops")
    findings.expect(refusals.total() >= size.refusals, f"only {refusals.total()} of {size.refusals} refusals")
    return findings
