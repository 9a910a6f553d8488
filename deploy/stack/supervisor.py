"""Starts the stack in order, keeps it running, stops it in order.

The death pact of every child (launch.py) is the net below: whatever happens to this process, nothing stays behind.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from deploy.admin.init import initialise, initialise_topics
from deploy.stack.child import Child, ChildFailed, ChildSpec
from deploy.stack.kafka import apache_kafka
from deploy.stack.ports import LOOPBACK, Ports
from deploy.stack.servers import seaweedfs, secantusdb, tansu
from deploy.stack.services import BUCKET, SERVICES, engine_env, health_port, init_settings, service_spec
from deploy.stack.state import StateDir

SERVERS: Final = ("kafka", "mongodb", "s3")
READY_SECONDS: Final = 180.0
BROKER_SECONDS: Final = 10.0  # how long the services may stand still while the broker gets its topics
SERVER_TRIES: Final = 3  # a port may be lost to somebody else, a lock be held by a dying predecessor
PAUSE_FIRST: Final = 0.2
LIVED_SECONDS: Final = 30.0  # a child that lived as long begins again with the first pause


@dataclass(frozen=True)
class Options:
    """What the caller may choose; `env` holds additional variables by service."""

    allow_loopback: bool = False
    broker: Literal["tansu", "kafka"] = "tansu"
    services: Sequence[str] = SERVICES
    env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    longest_pause: float = 10.0  # seconds before what keeps ending is started again
    brokers: int = 1  # of Apache Kafka


class Supervisor:
    """One stack on one state directory, which the caller has locked."""

    def __init__(self, options: Options, state: StateDir, ports: Ports, say: Callable[[str], None]) -> None:
        self._options, self._state, self._ports, self._say = options, state, ports, say
        self._forgetful = options.broker == "tansu"
        self._env = engine_env(state, ports, options.allow_loopback, idempotence=not self._forgetful)
        self._children: dict[str, Child] = {}
        self._credentials: dict[str, dict[str, str]] = {}
        self._broker_usable = asyncio.Event()

    async def start(self) -> dict[str, Any]:
        """Servers, initialisation, services; returns what is in stack.json. Raises ChildFailed."""
        await self._begin_all(await self._server_specs(), SERVER_TRIES)
        try:
            self._credentials = await initialise(init_settings(self._env, self._state, READY_SECONDS))
        except Exception as error:
            raise ChildFailed(f"The servers run, but could not be initialised: {error!r}") from error
        self._broker_usable.set()
        extra = self._options.env
        specs = [service_spec(name, self._env, self._ports, extra.get(name, {})) for name in self._options.services]
        await self._begin_all(specs, tries=1)
        return self._publish()

    async def keep(self) -> None:
        """Start again what ends, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for child in self._children.values():
                group.create_task(self._keep(child))

    async def stop(self) -> None:
        """Services first, so that they can still hand in what they hold; then broker, database, store."""
        self._state.drop_handle()
        await asyncio.gather(
            *(self._children[name].stop() for name in self._options.services if name in self._children)
        )
        for child in self._servers():
            await child.stop()

    def _servers(self) -> list[Child]:
        """In the order in which they are stopped: further brokers before the one that they have joined."""
        brokers = sorted((name for name in self._children if name.startswith("kafka")), reverse=True)
        return [self._children[name] for name in (*brokers, *SERVERS[1:]) if name in self._children]

    async def _server_specs(self) -> list[ChildSpec]:
        root = self._state.root
        kafka = [tansu(self._ports)] if self._forgetful else await asyncio.to_thread(self._kafka, root)
        store = seaweedfs(self._ports, root / "s3", *self._state.s3_keys())
        return [*kafka, secantusdb(self._ports, root / "mongodb"), store]

    def _kafka(self, root: Path) -> list[ChildSpec]:
        more = range(2, self._options.brokers + 1)
        first = apache_kafka(self._ports, root / "kafka")
        return [first, *(apache_kafka(self._ports, root / f"kafka-{node}", node=node) for node in more)]

    async def _begin_all(self, specs: list[ChildSpec], tries: int) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for spec in specs:
                    group.create_task(self._begin(spec, tries))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _begin(self, spec: ChildSpec, tries: int) -> None:
        child = self._children[spec.name] = Child(spec, self._state.logs)
        for left in reversed(range(tries)):
            child.start()
            try:
                await child.answering(READY_SECONDS)
                break
            except ChildFailed:
                if not left or child.running:
                    raise
                await asyncio.sleep(PAUSE_FIRST)

    async def _keep(self, child: Child) -> None:
        clock = asyncio.get_running_loop().time
        pause, began = PAUSE_FIRST, clock()
        while True:
            how = await child.exited()
            if clock() - began > LIVED_SECONDS:
                pause = PAUSE_FIRST
            self._say(f"{child.name} ended ({how}); starting it again in {pause:.1f} s")
            await asyncio.sleep(pause)
            pause, began = min(pause * 2, self._options.longest_pause), clock()
            try:
                await self._restart(child)
                self._say(f"{child.name} is back as process {child.pid}")
            except ChildFailed as error:
                self._say(str(error))

    async def _restart(self, child: Child) -> None:
        child.kill()  # of its group, whatever it may have left
        if child.name == "kafka" and self._forgetful:
            async with self._services_standing_still():
                self._start(child)
                await self._create_topics(child)
        else:
            if child.name in SERVICES:
                await self._broker_usable.wait()
            self._start(child)
        await child.answering(READY_SECONDS)

    def _start(self, child: Child) -> None:
        child.start()
        self._publish()

    async def _create_topics(self, broker: Child) -> None:
        """Waits for the broker; whoever came before would find no topic, and ask again only after minutes."""
        try:
            await initialise_topics(init_settings(self._env, self._state, BROKER_SECONDS))
        except Exception as error:
            broker.kill()  # a broker without topics is of no use: let it be started again
            raise ChildFailed(f"kafka took no topics ({error!r}).\n{broker.tail()}") from error

    @asynccontextmanager
    async def _services_standing_still(self) -> AsyncIterator[None]:
        self._broker_usable.clear()
        services = [self._children[name] for name in self._options.services]
        for service in services:
            service.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._broker_usable.set()
            for service in services:
                service.signal(signal.SIGCONT)

    def _publish(self) -> dict[str, Any]:
        access_key, secret_key = self._state.s3_keys()
        handle = {
            "http": f"http://{LOOPBACK}:{self._ports['http']}",
            "health": {name: f"http://{LOOPBACK}:{health_port(name, self._ports)}" for name in self._options.services},
            "kafka": f"{LOOPBACK}:{self._ports['kafka']}",
            "mongodb": f"mongodb://{LOOPBACK}:{self._ports['mongodb']}",
            "s3": {
                "endpoint": f"http://{LOOPBACK}:{self._ports['s3']}",
                "bucket": BUCKET,
                "accessKey": access_key,
                "secretKey": secret_key,
            },
            "tenants": self._credentials,
            "admin": self._state.admin(),
            "processes": {name: self._children[name].pid for name in (*self._options.services, *SERVERS)},
            "logs": str(self._state.logs),
        }
        self._state.write_handle(handle)
        return handle
