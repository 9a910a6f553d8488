"""SIGKILL at every named point and at random, of all services at once, while writes of every kind come in."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from deploy.stack.services import SERVICES
from shared.crash_points import POINTS
from tests.retry import eventually
from tests.torture.load import Load
from tests.torture.scenario import Findings, Run
from tests.torture.verdict import judge
from tests.torture.watch import watching
from tests.torture.world import READY_SECONDS, World, open_world

RANDOM_SHARE: Final = 0.2
PASSING_SECONDS: Final = 4.0  # within which somebody comes by an armed point, or the process is killed where it is
LONGEST_LIFE: Final = 3.0  # seconds of work between two kills of a service


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it; `per_second` paces the load so that it lasts as long as the kills."""

    mutations: int
    kills: int
    per_second: float
    points: int  # that must have been hit


SHORT: Final = Size(150, 10, 10.0, 4)
LONG: Final = Size(10_000, 500, 9.0, 14)


@dataclass
class Killer:
    """One hand a service; kills of different services overlap."""

    world: World
    enough: Callable[[], bool]
    hits: Counter[str] = field(default_factory=Counter)  # by point
    at_random: Counter[str] = field(default_factory=Counter)  # by service

    @property
    def kills(self) -> int:
        """All so far."""
        return self.hits.total() + self.at_random.total()

    def of(self, service: str) -> int:
        """All of one service."""
        return self.at_random[service] + sum(n for name, n in self.hits.items() if name.startswith(f"{service}."))

    async def run(self) -> None:
        """Kill until it is enough."""
        await asyncio.gather(*(self._hand(service) for service in SERVICES))

    async def _hand(self, service: str) -> None:
        rng = self.world.rng
        while not self.enough():
            await asyncio.sleep(rng.uniform(0.0, LONGEST_LIFE))
            before = self.world.process(service)
            if before is None:
                await asyncio.sleep(0.1)
                continue
            if rng.random() < RANDOM_SHARE or not await self._at_a_point(service):
                self.at_random[service] += self.world.signal(service, signal.SIGKILL)
            if rng.random() < 0.9:  # the others are killed while they start
                await self._back(service, before.pid)

    async def _at_a_point(self, service: str) -> bool:
        """Arm one point, and those that nobody has come by yet; whether somebody did."""
        own = [point for point in POINTS if point.startswith(f"{service}.")]
        armed = {self.world.rng.choice(own)} | {point for point in own if not self.hits[point]}
        files = {point: self.world.points / point for point in sorted(armed)}
        for file in files.values():
            file.touch()

        async def taken() -> None:
            assert not all(file.exists() for file in files.values())

        with suppress(AssertionError):
            await eventually(taken, PASSING_SECONDS)
        hit = set()
        for point, file in files.items():
            try:
                file.unlink()
            except FileNotFoundError:  # whoever took it away is dead
                hit.add(point)
        self.hits.update(hit)
        return bool(hit)

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
    async with open_world(run) as world:
        load = Load(world, size.mutations, size.per_second)
        killer = Killer(world, lambda: killer.kills >= size.kills)
        async with watching(world, load.writes) as watch:
            await asyncio.gather(load.send(), killer.run())
        await judge(world, load.writes, findings, replay=True)
    findings.figures |= {
        "kills": killer.kills,
        "kills by service": {service: killer.of(service) for service in SERVICES},
        "kills at random": killer.at_random.total(),
        "hits by point": {point: killer.hits[point] for point in POINTS},
        "requests repeated": load.repeated,
        "looks at running states": watch.looks,
        "committed events looked at": watch.passed,
    }
    findings.broken += watch.broken
    hit = sum(1 for point in POINTS if killer.hits[point])
    findings.expect(killer.kills >= size.kills, f"only {killer.kills} of {size.kills} kills")
    findings.expect(hit >= size.points, f"only {hit} of {size.points} points were hit")
    return findings
