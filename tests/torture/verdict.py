"""The end of a scenario: wait until the system is quiet, look at everything, replay everything, look again."""

import asyncio
import signal
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.stack.services import SERVICES
from tests.retry import eventually
from tests.torture import checker
from tests.torture.facts import READERS, Facts, gather_facts, unfinished
from tests.torture.load import Write
from tests.torture.scenario import Findings
from tests.torture.world import READY_SECONDS, SESSION_SECONDS, World

PATIENCE_SECONDS: Final = 420.0  # without any progress; a receiver that seemed dead is tried again after six minutes
LOOK_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 90.0  # within which a sweep and a reconcile have come round: their leases and ages are shorter


async def settled(world: World, writes: list[Write], patience: float = PATIENCE_SECONDS) -> dict[str, int]:
    """Wait until nothing is under way, or nothing moves any more; what is left, counted."""
    loop = asyncio.get_running_loop()
    known: set[str] = set()
    seen, since = await unfinished(world, writes, known), loop.time()
    while seen and loop.time() - since < patience:
        await asyncio.sleep(LOOK_SECONDS)
        left = await unfinished(world, writes, known)
        if left != seen:
            seen, since = left, loop.time()
    return seen


async def swept(world: World, writes: list[Write]) -> Facts:
    """The facts, once staging is empty and every object has an owner, or time for both is over."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SWEEP_SECONDS
    while True:
        facts = await gather_facts(world, writes)
        loose = checker.staging_is_empty(facts) + checker.every_object_has_an_owner(facts)
        if not loose or loop.time() > until:
            return facts
        await asyncio.sleep(2 * LOOK_SECONDS)


async def judge(world: World, writes: list[Write], findings: Findings, replay: bool = True) -> Facts:
    """Wait, look, and note figures and whatever is broken; then the same after a replay of every topic."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    left = await settled(world, writes)
    findings.expect(not left, f"these never ended: {left}")
    quiet = clock()
    facts = await swept(world, writes)
    findings.figures |= {"seconds to end it all": round(quiet - begun), "seconds to sweep": round(clock() - quiet)}
    kinds = {"lost": checker.LOST, "wrong": checker.WRONG, "double": checker.DOUBLE}
    for kind, checks in kinds.items():
        broken = [each for check in checks for each in check(facts)]
        findings.figures[kind] = len(broken)
        findings.broken += [f"{kind}: {each}" for each in broken]
    findings.figures |= {"mutations": len(writes), "callbacks": len(facts.callbacks), "objects": len(facts.objects)}
    if replay and not left:
        again = clock()
        changed = await changed_by_replay(world, writes, facts)
        findings.figures["seconds to replay"] = round(clock() - again)
        findings.figures["changed by a replay from offset 0"] = len(changed)
        findings.broken += [f"replay: {each}" for each in changed]
    return facts


async def changed_by_replay(world: World, writes: list[Write], before: Facts) -> list[str]:
    """Let every service read its topic from the beginning once more; what that has changed."""
    with world.nobody_restarts():
        for name in SERVICES:
            world.signal(name, signal.SIGTERM)
        await eventually(lambda: _all_gone(world), READY_SECONDS)
        await asyncio.gather(*(_begin_anew(world, topic, group) for topic, group in READERS.items()))
    for name in SERVICES:
        await world.ready(name)
    await eventually(lambda: _all_read(world), 10 * READY_SECONDS)
    await settled(world, writes)
    return checker.nothing_changed(before, await gather_facts(world, writes))


async def _all_gone(world: World) -> None:
    assert not any(map(world.process, SERVICES))


async def _begin_anew(world: World, topic: str, group: str) -> None:
    """Join the group, which ends the sessions of those that left without notice, and commit the beginning."""
    partitions = await _partitions(world, topic)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=world.handle["kafka"],
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=int(SESSION_SECONDS * 1000),
    )
    await consumer.start()
    try:

        async def alone() -> None:
            await consumer.getmany(timeout_ms=100)
            assert consumer.assignment() == set(partitions), f"{group} has other members still"

        await eventually(alone, 10 * SESSION_SECONDS)
        await consumer.commit(dict.fromkeys(partitions, 0))
    finally:
        await consumer.stop()


async def _partitions(world: World, topic: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=world.handle["kafka"])
    await admin.start()
    try:
        [described] = await admin.describe_topics([topic])
        return [TopicPartition(topic, each["partition"]) for each in described["partitions"]]
    finally:
        await admin.close()


async def _all_read(world: World) -> None:
    """Every group has committed its topics to the end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.handle["kafka"])
    consumer = AIOKafkaConsumer(bootstrap_servers=world.handle["kafka"], enable_auto_commit=False)
    await admin.start()
    await consumer.start()
    try:
        for topic, group in READERS.items():
            ends = await consumer.end_offsets(await _partitions(world, topic))
            found = await admin.list_consumer_group_offsets(group, partitions=list(ends))
            behind = {each: end for each, end in ends.items() if end and found[each].offset < end}
            assert not behind, f"{group} is behind on {behind}"
    finally:
        await consumer.stop()
        await admin.close()
