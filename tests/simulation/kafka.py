"""Kafka in memory behind aiokafka's own names: partitions, offsets, groups, rebalances, sessions that end."""

import asyncio
import zlib
from collections.abc import Callable, Iterable
from contextvars import Context
from types import SimpleNamespace
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, KafkaTimeoutError

from shared.broker import Consuming
from shared.lost_logs import FromTheStart
from tests.simulation.faults import DUPLICATE, GAP, REBALANCE, REFUSED_COMMIT, Faults, Process, Wire
from tests.simulation.loop import VirtualLoop

PARTITIONS: Final = 2
SESSION_SECONDS: Final = 6.0
GATHER_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 0.1
POLL_SECONDS: Final = 1.0
OnCommit = Callable[[TopicPartition, int, int], None]  # partition, old and new offset
OnAppend = Callable[[str, bytes | None], None]


class Broker:
    """Logs and committed offsets; `empty` makes it begin again at 0."""

    def __init__(self, loop: VirtualLoop, faults: Faults, on_commit: OnCommit, on_append: OnAppend) -> None:
        self.loop, self.faults, self.on_commit, self._on_append = loop, faults, on_commit, on_append
        self.logs: dict[TopicPartition, list[Any]] = {}  # None: the offset holds no record
        self.committed: dict[TopicPartition, int] = {}  # one group reads each topic
        self.groups: dict[str, Group] = {}

    def partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(PARTITIONS)]

    def log(self, partition: TopicPartition) -> list[Any]:
        return self.logs.setdefault(partition, [])

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[Any]) -> None:
        self._on_append(topic, value)
        partition = TopicPartition(topic, zlib.crc32(key or b"") % PARTITIONS)
        log = self.log(partition)
        for _ in range(2 if self.faults.strikes(DUPLICATE, 0.1) else 1):
            log.append(
                SimpleNamespace(topic=topic, partition=partition.partition, offset=len(log), key=key, value=value,
                                headers=tuple(headers), timestamp=-1)
            )  # fmt: skip
        if self.faults.strikes(GAP, 0.2):
            log.append(None)
        if topic in self.groups:
            self.groups[topic].wake()

    def empty(self) -> None:
        """It comes back without logs, offsets and members: these join again."""
        self.logs, self.committed = {}, {}
        for group in self.groups.values():
            group.generation += 1
            group.rebalance_soon()

    def group(self, topic: str) -> "Group":
        return self.groups.setdefault(topic, Group(self, topic))


class Group:
    """The consumer group of a topic. Members give everything back before partitions are dealt out again."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.broker, self.topic = broker, topic
        self.members: list[Member] = []
        self.generation = 0
        self._wanted = self._running = False

    def wake(self) -> None:
        for member in self.members:
            member.awake.set()

    def join(self, member: "Member") -> None:
        if member.process.alive and member not in self.members:
            self.members.append(member)
            self.rebalance_soon()

    def leave(self, member: "Member") -> None:
        """Its session has ended."""
        if member in self.members:
            self.members.remove(member)
            member.generation = -1
            self.rebalance_soon()

    def rebalance_soon(self) -> None:
        self._wanted = True
        if not self._running:
            self._running = True
            self.broker.loop.create_task(self._rebalance(), context=Context())

    async def _rebalance(self) -> None:
        while self._wanted:
            self._wanted = False
            revoking = {member.process.spawn(member.revoke()): member for member in self.members}
            if revoking:
                _, late = await asyncio.wait(revoking, timeout=SESSION_SECONDS)
                for task in late:  # out of the group; it joins again when it has given back
                    member = revoking[task]
                    self.leave(member)
                    task.add_done_callback(lambda _, member=member: self.join(member))  # type: ignore[misc]
            self.generation += 1
            dealt: dict[Member, set[TopicPartition]] = {member: set() for member in self.members}
            partitions = self.broker.partitions(self.topic)
            self.broker.faults.rng.shuffle(partitions)
            for number, partition in enumerate(partitions):
                if self.members:
                    dealt[self.members[number % len(self.members)]].add(partition)
            for member, mine in dealt.items():
                member.generation = self.generation
                member.process.spawn(member.take(mine))
        self._running = False


class Member:
    """A process's consumer: aiokafka's methods that the services call, and the loop around `on_batch`."""

    def __init__(self, group: Group, process: Process, wire: Wire, consuming: Consuming, most: int) -> None:
        self.group, self.process, self._wire = group, process, wire
        self._listener, self._consuming, self._most = FromTheStart(consuming, lambda: self), consuming, most
        self.generation = -1
        self.awake = asyncio.Event()
        self._revoking = False
        self._assigned = set[TopicPartition]()
        self._positions: dict[TopicPartition, int] = {}  # of those whose offset is known
        self._paused: set[TopicPartition] = set()
        self._in_hand = False
        process.on_end.append(lambda: process.loop.outside(SESSION_SECONDS, group.leave, self))
        process.on_stall.append(self._stalled)
        group.join(self)

    def _stalled(self, seconds: float) -> None:
        if seconds > SESSION_SECONDS:
            self.process.loop.outside(SESSION_SECONDS, self.group.leave, self)
            self.process.spawn(self._come_back())

    async def _come_back(self) -> None:
        await asyncio.sleep(SESSION_SECONDS + 0.1)
        await self.revoke()
        self.group.join(self)

    async def revoke(self) -> None:
        """Take nothing more, and tell the service; as in aiokafka, it has its positions until it is given others."""
        self._revoking = True
        await self._listener.on_partitions_revoked(self._assigned)

    async def take(self, partitions: set[TopicPartition]) -> None:
        """Tell the service; as in aiokafka, records come as soon as offsets are known, however long it listens."""
        self._revoking, self._assigned, self._positions, self._paused = False, partitions, {}, set()
        self.process.spawn(self._begin(partitions))
        await self._listener.on_partitions_assigned(partitions)

    async def _begin(self, partitions: set[TopicPartition]) -> None:
        committed = self.group.broker.committed
        while self._assigned is partitions:
            try:
                found = await self._wire.call(lambda: {each: committed.get(each, 0) for each in sorted(partitions)})
            except KafkaError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self._assigned is partitions:
                self._positions = found | self._positions
                self.awake.set()
            return

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            await self.awake.wait()
            await self._consuming.on_poll(dict(self._positions), self)
            before = dict(self._positions)
            records = self._poll()
            if not records:
                if self._positions == before:
                    self.awake.clear()
                continue
            if self.group.broker.faults.strikes(REBALANCE, 0.02):
                self.group.rebalance_soon()
            await self._consuming.on_batch(records, self)
            await asyncio.sleep(GATHER_SECONDS)

    def _poll(self) -> tuple[Any, ...]:
        found: list[Any] = []
        for partition, position in list(self._positions.items()):
            log = self.group.broker.log(partition)
            position = 0 if position > len(log) else position
            if self._revoking or partition in self._paused or len(found) >= self._most:
                continue
            some = log[position : position + self._most - len(found)]
            self._positions[partition] = position + len(some)
            found += [record for record in some if record is not None]
        return tuple(found)

    def assignment(self) -> set[TopicPartition]:
        return self._assigned

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused -= set(partitions)
        self.awake.set()

    async def committed(self, partition: TopicPartition) -> int | None:
        return await self._wire.call(lambda: self.group.broker.committed.get(partition))  # type: ignore[no-any-return]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return await Offsets(self.group.broker, self._wire).end_offsets(partitions)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._assigned:
            raise IllegalStateError(partition)
        self._positions[partition] = offset
        self.awake.set()

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        generation = self.generation

        def effect() -> None:
            broker = self.group.broker
            if generation != self.group.generation or broker.faults.strikes(REFUSED_COMMIT, 0.05):
                raise CommitFailedError
            for partition, offset in offsets.items():
                broker.on_commit(partition, broker.committed.get(partition, 0), offset)
                broker.committed[partition] = offset

        try:
            await self._wire.call(effect)
        finally:
            self.process.loop.call_later(POLL_SECONDS, self.awake.set)


class Offsets:
    """What BrokerOffsets asks a consumer and an admin client."""

    def __init__(self, broker: Broker, wire: Wire) -> None:
        self._broker, self._wire = broker, wire

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._wire.call(lambda: {each: len(self._broker.log(each)) for each in partitions})  # type: ignore[no-any-return]

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        found = [(name, self._broker.partitions(name)) for name in names]
        return [{"topic": name, "partitions": [{"partition": one.partition} for one in each]} for name, each in found]

    async def list_consumer_group_offsets(self, group: str, partitions: list[TopicPartition]) -> Any:
        return await self._wire.call(
            lambda: {each: SimpleNamespace(offset=self._broker.committed.get(each, -1)) for each in partitions}
        )


class Producer:
    """aiokafka's producer: `send` gives a future that is done when the broker has the record."""

    def __init__(self, broker: Broker, wire: Wire) -> None:
        self._broker, self._wire = broker, wire
        self._sender = SimpleNamespace(sender_task=None)

    async def send(
        self, topic: str, value: bytes | None, key: bytes | None, headers: list[Any]
    ) -> asyncio.Future[None]:
        return self._wire.process.spawn_quietly(
            self._wire.call(lambda: self._broker.append(topic, key, value, headers))
        )


def absent() -> Exception:
    """What aiokafka raises when no broker answers in time."""
    error: Exception = KafkaTimeoutError()
    return error
