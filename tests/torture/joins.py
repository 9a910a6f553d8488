"""Processes join and leave their groups all the time, politely and not, while downloads, stores and receivers are slow.

Half of those that join are static members, whose partitions wait for their session; the others leave at once.
"""

import asyncio
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from deploy.stack.ports import LOOPBACK, Ports
from deploy.stack.services import SERVICES
from tests.retry import eventually
from tests.torture.load import Load
from tests.torture.proxy import Proxy
from tests.torture.scenario import Findings, Run
from tests.torture.slowness import SlowStore, slowness
from tests.torture.verdict import judge
from tests.torture.watch import watching
from tests.torture.world import BROKERS, READY_SECONDS, World, open_world

MOST: Final = 5  # replicas beside the four that are always there
RESTART_SHARE: Final = 0.2  # of changes: one of the four leaves, and its supervisor brings it back
KILL_SHARE: Final = 0.3  # of leaves
JOINING: Final = ("storage", "fetcher", "notifier", "ingest")  # in turn
DYNAMIC: Final = {"ENGINE_KAFKA_INSTANCE_ID": ""}


@dataclass(frozen=True, slots=True)
class Size:
    """How many joins and leaves in how many seconds, and how much is written meanwhile.

    `standing` instead of STORE_SECONDS, while storage joins or leaves: in the long form so much that one request takes
    longer than a rebalance waits for the batch in hand.
    """

    changes: int
    seconds: float
    mutations: int
    standing: float


SHORT: Final = Size(4, 10.0, 50, 1.0)
LONG: Final = Size(60, 280.0, 2000, 4.0)
WITHIN_SECONDS: Final = 300.0


@dataclass
class Crowd:
    """Makes the changes, and counts them by service."""

    world: World
    size: Size
    store: SlowStore
    joins: Counter[str] = field(default_factory=Counter)
    leaves: Counter[str] = field(default_factory=Counter)
    killed: int = 0
    forced: list[str] = field(default_factory=list)  # were asked to leave and had to be killed in the end
    seconds: float = 0.0
    _leaving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def changes(self) -> int:
        """Joins and leaves so far."""
        return self.joins.total() + self.leaves.total()

    async def run(self) -> None:
        """Change at even distances; what has joined at last goes, too, but that is not counted."""
        clock, rng = asyncio.get_running_loop().time, self.world.rng
        began = clock()
        while self.changes < self.size.changes:
            await asyncio.sleep(began + self.changes * self.size.seconds / self.size.changes - clock())
            present = sorted(self.world.replicas)
            if present and rng.random() < RESTART_SHARE:
                await self._restart(await self._about(rng.choice(SERVICES)))
            elif rng.random() < len(present) / MOST:
                self._leave(await self._about(rng.choice(present)))
            else:
                await self._join(await self._about(min(JOINING, key=lambda service: self.joins[service])))
        self.seconds = clock() - began
        await asyncio.gather(*self._leaving, *map(self.world.stop_replica, list(self.world.replicas)))

    async def _about(self, name: str) -> str:
        """Before storage changes, let a batch come to a stand."""
        if name.startswith("storage"):
            await self.store.stand_still(self.size.standing)
            await asyncio.sleep(1)
        return name

    async def _join(self, service: str) -> None:
        self.joins[service] += 1
        own = DYNAMIC if self.world.rng.random() < 0.5 else None
        name = self.world.start_replica(service, 1 + self.joins[service], own)
        await self.world.ready(name)

    def _leave(self, name: str) -> None:
        child = self.world.replicas.pop(name)
        kills = self.world.rng.random() < KILL_SHARE
        self.leaves[name.partition("-")[0]] += 1
        self.killed += kills

        async def leave() -> None:
            if kills:
                child.kill()
            await child.stop()
            if not kills and (end := await child.exited()) != "exit code 0":
                self.forced.append(f"{name}: {end}")

        task = asyncio.create_task(leave())
        self._leaving.add(task)

    async def _restart(self, service: str) -> None:
        before = self.world.process(service)
        if before is None or not self.world.signal(service, signal.SIGTERM):
            return
        self.leaves[service] += 1

        async def another() -> None:
            found = self.world.process(service)
            assert found, f"{service} was not started again"
            assert found.pid != before.pid

        await eventually(another, READY_SECONDS)
        await self.world.ready(service)
        self.joins[service] += 1


def _logged(world: World, event: str) -> dict[str, int]:
    """How often the processes of each service have logged an event."""
    logs = world.stack.state_dir / "logs"
    return {
        service: sum(log.read_text(errors="replace").count(f'"{event}"') for log in logs.glob(f"{service}*.log"))
        for service in SERVICES
    }


async def play(run: Run) -> Findings:
    """See the module."""
    size, findings = (SHORT if run.short else LONG), Findings()
    ports = Ports(run.directory / "ports.json")  # the same that the stack will take
    async with Proxy(LOOPBACK, ports["s3"]) as proxy:
        slow_store = {"ENGINE_S3_ENDPOINT": f"http://{LOOPBACK}:{proxy.port}"}
        brokers = 1 if run.short else BROKERS
        async with open_world(run, {"storage": slow_store, "fetcher": slow_store}, brokers=brokers) as world:
            store = SlowStore(proxy)
            load, crowd = Load(world, size.mutations, size.mutations / size.seconds), Crowd(world, size, store)
            run.counted["joins and leaves"] = lambda: f"{crowd.changes} of {size.changes}"
            async with watching(world, load.writes) as watch, slowness(world, store):
                await asyncio.gather(load.send(), crowd.run())
            assignments, overlaps = (
                _logged(world, "partitions.assigned"),
                _logged(world, "rebalance.batch_still_in_hand"),
            )
            facts = await judge(world, load.writes, findings, replay=not run.short)
    findings.figures |= {
        "joins": crowd.joins.total(),
        "leaves": crowd.leaves.total(),
        "joins by service": dict(crowd.joins),
        "leaves by service": dict(crowd.leaves),
        "leaves by SIGKILL": crowd.killed,
        "seconds of joins and leaves": round(crowd.seconds, 1),
        "rebalances, as their members saw them": assignments,
        "batches in hand beyond a rebalance": overlaps,
        "callbacks that came again": len(facts.callbacks) - len({each.webhook_id for each in facts.callbacks}),
        "requests repeated": load.repeated,
        "committed events looked at": watch.passed,
    }
    findings.broken += watch.broken
    findings.expect(crowd.changes >= size.changes, f"only {crowd.changes} of {size.changes} joins and leaves")
    seen = sum(assignments.values())
    findings.expect(
        seen > crowd.changes, f"{crowd.changes} joins and leaves, and partitions were given out {seen} times"
    )
    if not run.short:
        findings.expect(overlaps["storage"] > 0, "no batch was in hand beyond a rebalance: handlers were not slow")
        findings.expect(not crowd.forced, f"these did not leave when they were asked to: {crowd.forced}")
        took = f"{crowd.changes} joins and leaves took {crowd.seconds:.0f} s"
        findings.expect(crowd.seconds <= WITHIN_SECONDS, took)
    return findings
