"""The broker is started anew again and again, by SIGKILL and by SIGTERM: every service consumes again, or leaves."""

import asyncio
import json
import signal
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.stack.services import SERVICES
from tests.e2e.client import person
from tests.retry import eventually
from tests.torture.load import Load, Write
from tests.torture.scenario import Findings, Run
from tests.torture.verdict import judge
from tests.torture.world import READY_SECONDS, World, open_world

AGAIN_SECONDS: Final = 30.0  # within which every service consumes again
LEFT_SECONDS: Final = 60.0  # or within which it has left with a code that is not 0, and consumes after its new start
PATIENCE_SECONDS: Final = 120.0
COMMANDS: Final = 12


@dataclass(frozen=True, slots=True)
class Size:
    """How often, and what is written meanwhile; a second's pause or two in between."""

    restarts: int
    mutations: int
    per_second: float


SHORT: Final = Size(1, 30, 5.0)
LONG: Final = Size(10, 1500, 5.0)


@dataclass(frozen=True, slots=True)
class Recovery:
    """After one restart: seconds until commands were through all four services, and which services had left."""

    how: str
    seconds: float
    exits: list[str]
    writes: list[Write]

    @property
    def held(self) -> bool:
        """Consuming again in time, or after an exit in time."""
        return self.seconds <= (LEFT_SECONDS if self.exits else AGAIN_SECONDS)


async def restart(world: World, number: signal.Signals) -> Recovery:
    """End the broker, wait until its supervisor's new one answers, send commands down the whole road."""
    clock = asyncio.get_running_loop().time
    before, processes = world.process("kafka"), _processes(world)
    world.signal("kafka", number)

    async def another() -> None:
        found = world.process("kafka")
        assert found, "no broker"
        assert found.pid != (before and before.pid)

    await eventually(another, READY_SECONDS)
    producer = await eventually(lambda: _connected(world), READY_SECONDS)
    back = clock()
    try:
        writes = await _through_all(world, producer)
    finally:
        await producer.stop()
    exits = [name for name, pid in _processes(world).items() if pid != processes[name]]
    return Recovery(number.name, clock() - back, exits, writes)


async def _connected(world: World) -> AIOKafkaProducer:
    """A producer: the broker is back as soon as it takes one."""
    producer = AIOKafkaProducer(bootstrap_servers=world.handle["kafka"], request_timeout_ms=2000)
    try:
        await producer.start()
    except Exception as error:
        await producer.stop()
        raise AssertionError(f"the broker is not back: {error!r}") from error
    return producer


async def _through_all(world: World, producer: AIOKafkaProducer) -> list[Write]:
    """Commands pass the gateway's consumer, fetcher, storage and notifier, enough to come by nearly every partition."""
    clock = asyncio.get_running_loop().time
    writes = []
    for _ in range(COMMANDS):
        key = f"restart-{world.rng.randrange(16**10):010x}"
        write = Write(key, "create", fields=person(firstName=key), by_topic=True, sent=clock())
        command: dict[str, Any] = {"operation": "create", "recordType": "candidate", "idempotencyKey": key}
        command |= {"payload": write.fields, "callbackUrl": world.client.callback_url}
        await _sent(producer, f"mutations.commands.{world.client.tenant}", json.dumps(command).encode(), key.encode())
        write.answered = clock()
        writes.append(write)

    async def told() -> None:
        bodies = [json.loads(one.body) for one in world.client.site.receiver.callbacks.get(world.client.hook, [])]
        missing = {write.key for write in writes} - {body["data"]["idempotencyKey"] for body in bodies}
        assert not missing, f"no callback for {missing}"

    await eventually(told, PATIENCE_SECONDS)
    return writes


async def _sent(producer: AIOKafkaProducer, topic: str, value: bytes, key: bytes) -> None:
    """Until it is acknowledged: a broker that is back knows its topics, and leads partitions, only a moment later."""

    async def acknowledged() -> None:
        try:
            await producer.send_and_wait(topic, value, key)
        except KafkaError as error:
            raise AssertionError(f"the broker takes no command: {error!r}") from error

    await eventually(acknowledged, PATIENCE_SECONDS)


def _processes(world: World) -> dict[str, int]:
    present = world.handle["processes"]
    return {name: present[name] for name in SERVICES}


async def play(run: Run) -> Findings:
    """See the module."""
    size, findings = (SHORT if run.short else LONG), Findings()
    recoveries: list[Recovery] = []
    async with open_world(run) as world:
        load = Load(world, size.mutations, size.per_second)
        run.counted["restarts"] = lambda: f"{len(recoveries)} of {size.restarts}"
        sending = asyncio.create_task(load.send())
        for number in range(size.restarts):
            await asyncio.sleep(world.rng.uniform(1.0, 3.0))
            way = signal.SIGKILL if number % 2 == 0 else signal.SIGTERM
            recoveries.append(await restart(world, way))
        await sending
        writes = load.writes + [write for each in recoveries for write in each.writes]
        await judge(world, writes, findings, replay=False)
    findings.figures |= {
        "restarts": len(recoveries),
        "slowest recovery, s": round(max(each.seconds for each in recoveries), 1),
        "recoveries, s": [f"{each.how} {each.seconds:.1f}" for each in recoveries],
        "exits": [name for each in recoveries for name in each.exits],
    }
    late = [f"{each.how}: consuming after {each.seconds:.0f} s, exits {each.exits}" for each in recoveries]
    findings.broken += [told for told, each in zip(late, recoveries, strict=True) if not run.short and not each.held]
    return findings
