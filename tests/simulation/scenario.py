"""One seed: processes start, clients write, faults strike; then peace, and everything has to come to its end."""

import asyncio
import gc
import random
import signal
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from shared.limits import UPLOAD_LONGEST_SECONDS
from shared.topics import READERS
from tests.simulation import workers
from tests.simulation.clients import Clients
from tests.simulation.faults import BLOBS_AWAY, EMPTIED, KAFKA_AWAY, KILLED, MONGO_AWAY, REBALANCE, REORDERED
from tests.simulation.final import check_all
from tests.simulation.loop import Stuck
from tests.simulation.virtual import everywhere
from tests.simulation.world import Listening, World

SERVICES: Final = ("ingest", "fetcher", "storage", "notifier")
PATIENCE: Final = 1500.0  # virtual seconds of peace: retries double to five minutes
LOOK: Final = 2.0
COLLECT: Final = 8  # seeds


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a seed."""

    seed: int
    findings: tuple[str, ...]
    reached: Counter[str]
    ends: Counter[str]
    virtual_seconds: float
    steps: int


def run(seed: int) -> Result:
    """Play one seed. What dead processes left is collected between seeds, so that no seed sees another's remains."""
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that died before they began
            result = _run(seed)
            if seed % COLLECT == 0:
                gc.collect()
            return result
    finally:
        gc.enable()


def prepare() -> None:
    """Once a process: coroutines of killed processes complain when they are collected, and nobody shall hear it."""
    sys.unraisablehook = lambda _: None
    gc.freeze()


def prepare_worker() -> None:
    """The same in a process that is one of several: Ctrl-C is for the first one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()


def _run(seed: int) -> Result:
    world = World(seed)
    with everywhere(world.loop, random.Random(f"{seed} services"), Listening(world)):
        try:
            world.loop.run(_play(world))
        except Stuck:
            world.wrong("everything stands still for ever")
    world.faults.reached[REORDERED] = world.invariants.reordered
    ends = Counter(_end(each) for each in world.documents("mutations").values())
    return Result(seed, tuple(world.findings), world.faults.reached, ends, world.loop.time(), world.loop.steps)


def _end(mutation: dict[str, Any]) -> str:
    error = (mutation.get("outcome") or {}).get("error") or {}
    return f"{mutation.get('kind')} {error.get('code', mutation['status'])}"


async def _play(world: World) -> None:
    for service in SERVICES:
        for number in range(world.rng.choice((1, 2, 2))):
            _start(world, service, f"{service}-{number}", 0)
    for work in (_weather(world), _blows(world)):
        world.loop.create_task(work)
    clients = Clients(world)
    await clients.run()
    await asyncio.sleep(world.rng.uniform(0, 20))
    world.faults.active = False
    world.weather.clear()
    await _come_to_rest(world)
    if not world.findings:
        await clients.write_once_more()
    await _come_to_rest(world)
    if world.findings:
        return  # the rest would only repeat it
    world.over = True
    for process in world.processes:
        process.kill()
    await _tidy_up(world)
    check_all(world)


def _start(world: World, service: str, name: str, life: int) -> None:
    if world.over:
        return
    process = world.process(f"{name}.{life}")
    process.on_end.append(
        lambda: world.loop.outside(world.rng.uniform(0.2, 8.0), _start, world, service, name, life + 1)
    )
    match service:
        case "ingest":
            world.intakes[name] = process, workers.ingest(world, process)
        case "fetcher":
            workers.fetcher(world, process)
        case "storage":
            workers.Storage(world, process).start()
        case _:
            workers.notifier(world, process)


async def _weather(world: World) -> None:
    """Dependencies go away for a while, and come back."""
    for kind in (MONGO_AWAY, BLOBS_AWAY, KAFKA_AWAY):
        if world.faults.strikes(kind, 0.5):
            await asyncio.sleep(world.rng.uniform(0, 8))
            world.weather.add(kind)
            world.loop.call_later(world.rng.uniform(0.5, 25), partial(world.weather.discard, kind))


async def _blows(world: World) -> None:
    """Processes are killed, groups dealt out anew, the broker begins again."""
    while world.faults.active:
        await asyncio.sleep(world.rng.uniform(0.2, 5))
        if world.faults.strikes(KILLED, 0.5):
            living = [each for each in world.processes if each.alive]
            if living:
                world.rng.choice(living).kill()
        if world.faults.strikes(EMPTIED, 0.1):
            world.broker.empty()
        if world.faults.strikes(REBALANCE, 0.3):
            world.rng.choice(list(world.broker.groups.values())).rebalance_soon()


async def _come_to_rest(world: World) -> None:
    until = world.loop.time() + PATIENCE
    while not world.findings and (unrest := _unrest(world)):
        if world.loop.time() > until:
            world.wrong(f"no rest: {unrest}")
            return
        await asyncio.sleep(LOOK)


def _unrest(world: World) -> str:
    """What still has to be done; empty: nothing."""
    for mutation in world.documents("mutations").values():
        if mutation["status"] in ("accepted", "applying") or mutation.get("owed") or mutation.get("lane"):
            return f"{mutation['kind']} {mutation['_id']} is {mutation['status']}, lane {mutation.get('lane')}"
    for delivery in world.documents("deliveries").values():
        if delivery["status"] == "pending":
            return f"delivery {delivery['_id']} is pending"
    for topic in READERS:
        for partition in world.broker.partitions(topic):
            if world.broker.committed.get(partition, 0) < len(world.broker.log(partition)):
                return f"{partition} is not worked off"
    return ""


async def _tidy_up(world: World) -> None:
    """When all that was under way has ended for sure, and uploads have expired: a round of each job that cleans up."""
    await asyncio.sleep(UPLOAD_LONGEST_SECONDS + 3 * workers.AGE.total_seconds())
    storage = workers.Storage(world, world.process("storage-last"))
    await storage.erasure.repeat("live", workers.AGE)
    await storage.expire("live")
    await storage.sweeper.sweep_staging("live", workers.AGE)
    await storage.sweeper.reconcile("live", workers.AGE)
