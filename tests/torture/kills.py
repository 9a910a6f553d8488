"""SIGKILL at every named point and at random, of all services at once, while writes of every kind come in."""

import asyncio
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from deploy.stack.services import SERVICES
from tests.retry import eventually
from tests.torture.faults import PointFaults
from tests.torture.load import Load
from tests.torture.scenario import Findings, Run
from tests.torture.verdict import judge
from tests.torture.watch import watching
from tests.torture.world import BROKERS, QUICK_SWEEPS, READY_SECONDS, World, open_world

RANDOM_SHARE: Final = 0.2
LONGEST_LIFE: Final = 3.0  # seconds of work between two kills of a service


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it; `per_second` paces the load so that it lasts as long as the kills."""

    mutations: int
    kills: int
    per_second: float
    points: int  # that must have been hit


SHORT: Final = Size(150, 10, 10.0, 1)
LONG: Final = Size(10_000, 500, 11.0, 14)


@dataclass
class Killer:
    """One hand a service; kills of different services overlap."""

    world: World
    points: PointFaults
    wanted: int
    at_random: Counter[str] = field(default_factory=Counter)  # by service

    @property
    def kills(self) -> int:
        """All so far."""
        return self.points.hits.total() + self.at_random.total()

    def of(self, service: str) -> int:
        """All of one service."""
        return self.at_random[service] + sum(
            n for name, n in self.points.hits.items() if name.startswith(f"{service}.")
        )

    async def run(self) -> None:
        """Kill until it is enough."""
        await asyncio.gather(*(self._hand(service) for service in SERVICES))

    async def _hand(self, service: str) -> None:
        rng = self.world.rng
        while self.kills < self.wanted:
            await asyncio.sleep(rng.uniform(0.0, LONGEST_LIFE))
            before = self.world.process(service)
            if before is None:
                await asyncio.sleep(0.1)
                continue
            chosen = set() if rng.random() < RANDOM_SHARE else self.points.choice(service, rng)
            if not chosen or not await self.points.strike(chosen):
                self.at_random[service] += self.world.signal(service, signal.SIGKILL)
            if rng.random() < 0.9:  # the others are killed while they start
                await self._back(service, before.pid)

    async def _back(self, service: str, before: int) -> None:
        async def another() -> None:
            found = self.world.process(service)
            assert found, f"{service} was not started again"
            assert found.pid != before

        await eventually(another, READY_SECONDS)
        await self.world.ready(service)


async def play(run: Run) -> Findings:
    """See the module."""
    size, findings = (SHORT if run.short else LONG), Findings()
    own, brokers = (QUICK_SWEEPS, 1) if run.short else (None, BROKERS)
    async with open_world(run, own, brokers=brokers) as world:
        load = Load(world, size.mutations, size.per_second)
        killer = Killer(world, PointFaults(world, "SIGKILL"), size.kills)
        run.counted["kills"] = lambda: f"{killer.kills} of {size.kills}"
        async with watching(world, load.writes) as watch:
            await asyncio.gather(load.send(), killer.run())
        await judge(world, load.writes, findings, replay=not run.short)
    findings.figures |= {
        "kills": killer.kills,
        "kills by service": {service: killer.of(service) for service in SERVICES},
        "kills at random": killer.at_random.total(),
        "hits by point": killer.points.by_point(),
        "points hit": killer.points.reached,
        "requests repeated": load.repeated,
        "looks at running states": watch.looks,
        "committed events looked at": watch.passed,
    }
    findings.broken += watch.broken
    findings.expect(killer.kills >= size.kills, f"only {killer.kills} of {size.kills} kills")
    findings.expect(
        killer.points.reached >= size.points, f"only {killer.points.reached} of {size.points} points were hit"
    )
    return findings
