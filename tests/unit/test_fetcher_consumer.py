"""Consuming: everything at once, commits without gaps, pauses instead of blocking, nothing kept over a rebalance."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from structlog.testing import capture_logs

from services.fetcher.consumer import FetchConsumer
from services.fetcher.handler import SourceBusy
from services.fetcher.window import Window
from shared import events, topics
from shared.consume import BUGS_IN_A_ROW
from shared.dead_letters import DeadLetters
from shared.process import Lifecycle
from shared.publisher import Publisher
from tests.fakes_fetcher import FakeKafkaConsumer, FakeRecord
from tests.unit.test_fetcher_handler import World, accepted


class Member:
    """One fetcher with its broker side."""

    def __init__(self, world: World, size: int = 8, batch: int = 2, span: int = 100) -> None:
        self.world, self.kafka, self.lifecycle = world, FakeKafkaConsumer(0, 1), Lifecycle()
        letters = DeadLetters(cast(Publisher, world.publisher))
        self.consumer = FetchConsumer(world.handler, letters, Window(size, span), self.lifecycle, batch)

    async def take(self, *records: FakeRecord) -> None:
        """A batch comes in."""
        await self.consumer.on_batch(cast(Any, records), cast(Any, self.kafka))

    async def asks_for_more(self, positions: dict[int, int]) -> None:
        """A poll begins."""
        places = {TopicPartition(topics.ACCEPTED, partition): position for partition, position in positions.items()}
        await self.consumer.on_poll(places, cast(Any, self.kafka))

    async def committed(self) -> dict[int, int]:
        """The broker's offsets after a commit."""
        await self.consumer.commit()
        return self.kafka.offsets


def record(offset: int, *files: str, partition: int = 0) -> FakeRecord:
    return FakeRecord(events.encode(accepted(*files, mutation=f"m{partition}.{offset}")), offset, partition)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_slow_download_holds_back_the_commit_of_its_partition_and_nothing_else() -> None:
    world = World()
    world.downloader.held = {"slow"}
    member = Member(world)
    await member.take(record(0), record(1, "slow"), record(2, "fast"), record(7, partition=1))
    await until(lambda: len(world.publisher.published) == 3)
    assert await member.committed() == {0: 1, 1: 8}
    world.downloader.gates["slow"].set()
    await until(lambda: member.consumer.idle)
    assert await member.committed() == {0: 3, 1: 8}


async def test_full_window_pauses_and_room_resumes() -> None:
    world = World()
    world.downloader.held = {"a", "b", "c"}
    member = Member(world, size=4, batch=2)
    await member.take(record(0, "a"), record(1, "b"))
    assert member.kafka.stopped == set()
    await member.take(record(2, "c"))
    assert member.kafka.stopped == member.kafka.assigned
    world.downloader.gates["c"].set()
    await until(lambda: not member.kafka.stopped)
    assert world.publisher.ids == ["m0.2"]
    await member.consumer.on_partitions_assigned(set())


async def test_rebalance_drains_commits_and_starts_empty() -> None:
    world = World()
    world.downloader.held = {"soon"}
    member = Member(world)
    await member.take(record(0, "soon"))
    await until(lambda: world.downloader.asked == ["soon"])
    revoked = asyncio.create_task(member.consumer.on_partitions_revoked(member.kafka.assigned))
    await asyncio.sleep(0)
    await member.take(record(1))  # still in the client's buffer: not taken in, comes again
    assert member.kafka.sought == {0: 1}
    world.downloader.gates["soon"].set()
    await revoked
    assert member.kafka.offsets == {0: 1}
    assert world.publisher.ids == ["m0.0"]
    await member.consumer.on_partitions_assigned(member.kafka.assigned)
    await member.take(record(1))
    await until(lambda: member.consumer.idle)
    assert await member.committed() == {0: 2}


async def test_what_is_in_flight_at_a_new_assignment_is_never_committed() -> None:
    world = World()
    world.downloader.held = {"late"}
    member = Member(world)
    await member.take(record(5, "late"))
    await until(lambda: world.downloader.asked == ["late"])
    await member.consumer.on_partitions_assigned(member.kafka.assigned)
    world.downloader.gates["late"].set()
    await until(lambda: member.consumer.idle)
    assert await member.committed() == {}
    assert world.publisher.published == []


async def test_undecodable_record_goes_to_the_dead_letters_and_is_passed() -> None:
    world = World()
    member = Member(world)
    await member.take(FakeRecord(b"\xff no event", 0), FakeRecord(None, 1), record(2))
    await until(lambda: member.consumer.idle)
    assert world.publisher.letters == [("mutations.accepted.dlq", b"\xff no event"), ("mutations.accepted.dlq", None)]
    assert world.publisher.ids == ["m0.2"]
    assert await member.committed() == {0: 3}


async def test_a_dead_letter_is_an_error_unless_it_is_the_senders_fault() -> None:
    letters = DeadLetters(cast(Publisher, World().publisher))
    with capture_logs() as logged:
        for senders_fault in (False, True):
            await letters.send(cast(Any, FakeRecord(b"{", 0)), "odd", 1, senders_fault)
    assert [line["log_level"] for line in logged] == ["error", "info"]


async def test_absent_ledger_and_broker_lose_nothing() -> None:
    world = World()
    world.ledger.away = world.publisher.away = 1
    member = Member(world)
    await member.take(record(0, "f"), record(1))
    await until(lambda: member.consumer.idle)
    assert sorted(world.publisher.ids) == ["m0.0", "m0.1"]
    assert world.publisher.letters == []
    assert await member.committed() == {0: 2}


async def test_refused_commit_is_made_again() -> None:
    member = Member(World())
    member.kafka.refusals = [CommitFailedError("rebalance")]
    await member.take(record(0))
    await until(lambda: member.consumer.idle)
    assert await member.committed() == {}
    assert await member.committed() == {0: 1}


async def test_ended_mutation_is_not_downloaded() -> None:
    world = World("m0.0")
    member = Member(world)
    await member.take(record(0, "f"), record(1, "g"))
    await until(lambda: member.consumer.idle)
    assert world.downloader.asked == ["g"]
    assert len(world.publisher.published) == 2


async def test_stop_waits_for_what_is_in_flight_and_takes_nothing_in() -> None:
    world = World()
    world.downloader.held = {"f"}
    member = Member(world)
    await member.take(record(0, "f"))
    stopped = asyncio.create_task(member.consumer.stop(10))
    await asyncio.sleep(0)
    await member.take(record(1))
    world.downloader.gates["f"].set()
    await stopped
    assert member.kafka.offsets == {0: 1}
    assert world.publisher.ids == ["m0.0"]


async def test_stop_leaves_what_does_not_end_in_time_uncommitted() -> None:
    world = World()
    world.downloader.held = {"f"}
    member = Member(world)
    await member.take(record(0), record(1, "f"))
    await until(lambda: world.downloader.asked == ["f"])
    await member.consumer.stop(0.05)
    assert member.kafka.offsets == {0: 1}


async def test_too_many_bugs_in_a_row_stop_the_service() -> None:
    world = World(f=ZeroDivisionError())
    member = Member(world, size=200)
    with capture_logs():
        await member.take(*(record(offset, "f") for offset in range(BUGS_IN_A_ROW)))
        await until(lambda: member.consumer.idle)
    assert member.lifecycle.stopping.is_set()
    assert member.lifecycle.exit_code == 1
    assert all(event.error is not None for _, event, _ in world.publisher.published)


async def test_what_finds_no_place_at_its_source_is_put_off_without_an_event() -> None:
    world = World(f=SourceBusy())
    member = Member(world)
    with capture_logs() as logged:
        await member.take(record(0, "f"))
        await until(lambda: member.consumer.idle)
    assert world.publisher.published == []
    assert world.publisher.letters == []
    assert await member.committed() == {0: 1}
    assert [entry["mutation"] for entry in logged if entry["event"] == "mutation.put_off"] == ["m0.0"]


async def test_slow_download_pauses_only_the_partition_that_it_holds_back() -> None:
    world = World()
    world.downloader.held = {"slow"}
    member = Member(world, span=3)
    await member.take(record(0, "slow"), record(1), record(2), record(0, partition=1))
    await until(lambda: len(world.publisher.published) == 3)
    assert {each.partition for each in member.kafka.stopped} == {0}
    world.downloader.gates["slow"].set()
    await until(lambda: member.consumer.idle)
    assert member.kafka.stopped == set()


async def test_offsets_that_hold_no_record_are_committed_once_nothing_before_them_is_in_flight() -> None:
    world = World()
    world.downloader.held = {"f"}
    member = Member(world)
    await member.take(record(0, "f"))
    await member.asks_for_more({0: 3, 1: 5})
    assert await member.committed() == {1: 5}
    world.downloader.gates["f"].set()
    await until(lambda: member.consumer.idle)
    await member.asks_for_more({0: 3, 1: 5})
    assert await member.committed() == {0: 3, 1: 5}


async def test_what_is_dropped_while_partitions_are_given_away_is_not_committed() -> None:
    member = Member(World())
    await member.take(record(0))
    await until(lambda: member.consumer.idle)
    await member.consumer.on_partitions_revoked(member.kafka.assigned)
    await member.take(record(1))
    await member.asks_for_more({0: 2})
    assert await member.committed() == {0: 1}


@pytest.mark.parametrize("timestamp", [None, -1, 2**62])
async def test_a_record_without_a_time_is_passed_on_like_any_other(timestamp: int | None) -> None:
    world = World()
    member = Member(world)
    await member.take(replace(record(0, "f1"), timestamp=timestamp))
    await until(lambda: member.consumer.idle)

    [(topic, event, _)] = world.publisher.published
    assert (topic, event.times and event.times.published) == ("mutations.fetched", None)
    assert not world.publisher.letters
