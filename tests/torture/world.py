"""The stack of a scenario: the real processes with short times, a client, and hands that reach only what it started."""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil

from deploy.stack import EmbeddedStack
from deploy.stack.child import Child
from deploy.stack.ports import Ports
from deploy.stack.services import SERVICES, engine_env, service_spec
from deploy.stack.state import StateDir
from shared.crash_points import VARIABLE
from tests.e2e.client import Client, open_client
from tests.retry import eventually
from tests.torture.scenario import Run

Env = Mapping[str, Mapping[str, str]]

SESSION_SECONDS: Final = 6.0
LEASE_SECONDS: Final = 5.0
# Of the jobs that only time asks for, so that what a kill leaves behind is found within the run.
SHARED: Final = {
    "ENGINE_KAFKA_SESSION_SECONDS": str(SESSION_SECONDS),
    "ENGINE_KAFKA_SEND_SECONDS": "3",
    "ENGINE_LEASE_SECONDS": str(LEASE_SECONDS),
}
OWN: Final = {
    "ingest": {"ENGINE_RELAY_SECONDS": "2"},
    "fetcher": {"ENGINE_GRACE_SECONDS": "5"},
    "storage": {
        "ENGINE_SWEEP_SECONDS": "1.5",
        "ENGINE_DEADLINE_SECONDS": "5",
        "ENGINE_STAGING_SWEEP_SECONDS": "5",
        "ENGINE_STAGING_AGE_SECONDS": "20",
        "ENGINE_RECONCILE_SECONDS": "15",
        "ENGINE_RECONCILE_AGE_SECONDS": "20",
    },
    "notifier": {
        "ENGINE_DELIVERY_LEASE_SECONDS": str(LEASE_SECONDS),
        "ENGINE_CALLBACK_SECONDS": "2.5",
        "ENGINE_CALLBACK_PAUSES": "0,1,2,4,8,15,30,60,60,60",
        "ENGINE_CALLBACK_LEAST_PAUSE_SECONDS": "1",
        "ENGINE_DELIVERY_POLL_SECONDS": "1",
    },
}
# For short forms without large base64 files, which need their time between staging and acceptance.
QUICK_SWEEPS: Final = {
    "storage": {
        "ENGINE_STAGING_SWEEP_SECONDS": "1",
        "ENGINE_STAGING_AGE_SECONDS": "2",
        "ENGINE_RECONCILE_SECONDS": "1.5",
        "ENGINE_RECONCILE_AGE_SECONDS": "2",
    }
}
READY_SECONDS: Final = 60.0
BROKERS: Final = 3  # in long forms: with more than one, records come from one while another is still asked


@dataclass
class World:
    """A running stack. Names are those of services and servers, and of replicas such as `storage-2`."""

    run: Run
    stack: EmbeddedStack
    client: Client
    rng: random.Random
    points: Path
    env: Env
    replicas: dict[str, Child] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)  # of replicas

    @property
    def handle(self) -> dict[str, Any]:
        """The present stack.json."""
        return self.stack.handle

    def process(self, name: str) -> psutil.Process | None:
        """The present process of this name, if it lives; never one that somebody else has started."""
        child = self.replicas.get(name)
        number, parent = (child.pid, os.getpid()) if child else (self.handle["processes"][name], self.stack.pid)
        with suppress(psutil.Error):
            found = psutil.Process(number)
            if found.ppid() == parent and found.status() != psutil.STATUS_ZOMBIE:
                return found
        return None

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a signal; False when no process of this name lives at the moment."""
        found = self.process(name)
        with suppress(psutil.NoSuchProcess):
            if found:
                found.send_signal(number)
                return True
        return False

    def port(self, name: str) -> int:
        """Where /healthz, /readyz and /metrics of a service answer."""
        if name in self._ports:
            return self._ports[name]
        ports = json.loads((self.stack.state_dir / "ports.json").read_text())
        return int(ports["http" if name == "ingest" else f"{name}.health"])

    async def look(self, name: str, path: str) -> tuple[int, str]:
        """Status and body of a GET to a service's health port. Raises aiohttp.ClientError, TimeoutError."""
        url, short = f"http://127.0.0.1:{self.port(name)}{path}", aiohttp.ClientTimeout(total=5)
        async with self.client.session.get(url, timeout=short) as answer:
            return answer.status, await answer.text()

    async def ready(self, name: str, seconds: float = READY_SECONDS) -> None:
        """Wait until a service takes work in."""

        async def says_so() -> None:
            try:
                status, _ = await self.look(name, "/readyz")
            except (aiohttp.ClientError, TimeoutError) as error:
                raise AssertionError(f"{name} does not answer: {error!r}") from error
            assert status == 200, f"{name} is not ready"

        await eventually(says_so, seconds)

    def log_of(self, name: str) -> str:
        """What it has logged so far."""
        return (self.stack.state_dir / "logs" / f"{name}.log").read_text(errors="replace")

    def start_replica(self, service: str, number: int, env: Mapping[str, str] | None = None) -> str:
        """Start one more process of a service, under an instance id of its own; its name. It dies with this process."""
        name, state = f"{service}-{number}", StateDir(self.stack.state_dir)
        ports: dict[str, int] = json.loads((state.root / "ports.json").read_text())
        self._ports[name] = own = self._ports.get(name) or Ports(state.root / "replicas.json")[name]
        shared = engine_env(state, ports, allow_loopback=True, idempotence=self.run.broker == "kafka")
        ports["http" if service == "ingest" else f"{service}.health"] = own
        extra = {**self.env.get(service, {}), "ENGINE_KAFKA_INSTANCE_ID": name, **(env or {})}
        spec = service_spec(service, shared, ports, extra)
        self.replicas[name] = child = Child(replace(spec, name=name), state.logs)
        child.start()
        return name

    async def stop_replica(self, name: str) -> None:
        """SIGTERM, and SIGKILL when its grace is over."""
        await self.replicas.pop(name).stop()

    @contextmanager
    def nobody_restarts(self) -> Iterator[None]:
        """Let what ends stay ended: the supervisor stands still meanwhile."""
        os.kill(self.stack.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.stack.pid, signal.SIGCONT)


def torture_env(points: Path, more: Env | None = None) -> dict[str, dict[str, str]]:
    """Variables by service: short times, static membership, crash points, and what the scenario adds."""
    return {
        name: {
            **SHARED,
            VARIABLE: str(points),
            "ENGINE_KAFKA_INSTANCE_ID": f"{name}-1",
            **OWN[name],
            **(more or {}).get(name, {}),
        }
        for name in SERVICES
    }


@asynccontextmanager
async def open_world(
    run: Run, env: Env | None = None, services: Sequence[str] = SERVICES, brokers: int = 1
) -> AsyncIterator[World]:
    """A ready stack in the run's directory; `env` adds variables by service. All of it has ended after the block.

    `brokers` are those of Apache Kafka.
    """
    points = run.directory / "points"
    points.mkdir(exist_ok=True)
    every = torture_env(points, env)
    mine = {name: every[name] for name in services}
    stack = EmbeddedStack(
        run.directory, broker=run.broker, env=mine, services=services, longest_pause=1.0, brokers=brokers
    )
    async with stack, open_client(stack.handle) as client:
        world = World(run, stack, client, run.rng(), points, every)
        try:
            yield world
        finally:
            await asyncio.gather(*(child.stop() for child in world.replicas.values()))
