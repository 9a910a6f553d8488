"""The watchdog on a clock of its own: when a consumer is stuck, and when it is not."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from shared.errors import DependencyUnavailable
from shared.process import background
from shared.watchdog import HUNG_SECONDS, SAID_SECONDS, STUCK_SECONDS, Watchdog

OURS, THEIRS = TopicPartition("mutations.accepted", 0), TopicPartition("mutations.accepted", 1)
LATER = STUCK_SECONDS + 1


@dataclass
class Offsets:
    """A broker's answers."""

    log: dict[TopicPartition, int] = field(default_factory=lambda: {OURS: 5, THEIRS: 5})
    committed: dict[TopicPartition, int] = field(default_factory=lambda: {OURS: 0, THEIRS: 5})
    away: bool = False

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        if self.away:
            raise DependencyUnavailable("kafka")
        return dict(self.log)

    async def reached(self, topic: str, partitions: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {each: self.committed[each] for each in partitions}


@dataclass
class Consumer:
    """A consumer's own view."""

    assigned: set[TopicPartition] = field(default_factory=lambda: {OURS})
    idle: bool = True


async def seen(offsets: Offsets, consumer: Consumer) -> tuple[bool, Watchdog]:
    watchdog = Watchdog(offsets, OURS.topic, consumer, lambda: None)  # type: ignore[arg-type]
    return await watchdog.stuck(0.0), watchdog


async def test_lag_without_movement_and_nothing_in_hand_is_stuck() -> None:
    first, watchdog = await seen(Offsets(), Consumer())

    assert not first
    assert await watchdog.stuck(LATER)


async def test_a_consumer_with_something_in_hand_is_not_stuck() -> None:
    _, watchdog = await seen(Offsets(), Consumer(idle=False))

    assert not await watchdog.stuck(LATER)


async def test_a_commit_starts_the_time_anew() -> None:
    offsets = Offsets()
    _, watchdog = await seen(offsets, Consumer())
    offsets.committed[OURS] = 1

    assert not await watchdog.stuck(LATER)
    assert await watchdog.stuck(2 * LATER + 1)


async def test_lag_of_another_members_partition_is_not_ours() -> None:
    _, watchdog = await seen(Offsets(), Consumer(assigned={THEIRS}))

    assert not await watchdog.stuck(LATER)


async def test_who_has_no_partition_watches_all() -> None:
    _, watchdog = await seen(Offsets(), Consumer(assigned=set()))

    assert await watchdog.stuck(LATER)


@pytest.mark.parametrize("lost", [False, True])
async def test_who_has_no_partition_does_not_leave_because_others_wait_for_a_server_that_is_away(lost: bool) -> None:
    watchdog = Watchdog(Offsets(), OURS.topic, Consumer(assigned=set()), lambda: None, lambda: lost)  # type: ignore[arg-type]
    assert not await watchdog.stuck(0.0)

    assert await watchdog.stuck(LATER) is not lost
    assert bool(watchdog.reason()) is not lost


@pytest.mark.parametrize("away_at", [1.0, LATER])
async def test_an_absent_broker_is_no_reason_to_leave(away_at: float) -> None:
    offsets = Offsets()
    _, watchdog = await seen(offsets, Consumer())
    offsets.away = True
    assert not await watchdog.stuck(away_at)
    offsets.away = False

    assert not await watchdog.stuck(away_at + 1)


async def test_health_says_it_before_the_process_leaves() -> None:
    _, watchdog = await seen(Offsets(), Consumer())
    assert watchdog.reason() == ""
    assert not await watchdog.stuck(SAID_SECONDS + 1)

    assert watchdog.reason() == "mutations.accepted-0 at 0 of 5: nothing of it was committed for 21 s"


async def test_health_names_no_tenant() -> None:
    commands = TopicPartition("mutations.commands.acme", 0)
    _, watchdog = await seen(Offsets({commands: 5}, {commands: 0}), Consumer({commands}))
    assert not await watchdog.stuck(SAID_SECONDS + 1)

    assert watchdog.reason().startswith("mutations.commands.{tenant}-0 at 0 of 5: ")


@pytest.mark.parametrize("lost", [False, True])
async def test_something_in_hand_for_ever_is_stuck_unless_a_server_of_ours_is_away(lost: bool) -> None:
    watchdog = Watchdog(Offsets(), OURS.topic, Consumer(idle=False), lambda: None, lambda: lost)  # type: ignore[arg-type]
    assert not await watchdog.stuck(0.0)
    assert not await watchdog.stuck(HUNG_SECONDS - 1)

    assert await watchdog.stuck(HUNG_SECONDS + 1) is not lost


async def test_slow_work_that_has_just_ended_is_not_stuck_before_its_commit() -> None:
    consumer = Consumer(idle=False)
    offsets = Offsets()
    _, watchdog = await seen(offsets, consumer)
    assert not await watchdog.stuck(LATER)
    consumer.idle = True

    assert not await watchdog.stuck(LATER + 1)


@pytest.mark.parametrize(("looks", "stuck"), [(range(5, 61, 5), True), ([5, 3605, 3610], False)])
async def test_time_during_which_the_process_was_stopped_does_not_count(looks: Iterable[int], stuck: bool) -> None:
    """An hour at once is a stop; a minute in steps of five seconds is stuck."""
    told = list[int]()
    watchdog = Watchdog(Offsets(), OURS.topic, Consumer(), lambda: told.append(1))  # type: ignore[arg-type]
    for now in looks:
        await watchdog.look(now)

    assert bool(told) is stuck


def lag_told() -> float | None:
    return REGISTRY.get_sample_value("engine_consumer_lag_records", {"topic": OURS.topic})


async def test_lag_is_told_only_while_the_broker_answers() -> None:
    offsets = Offsets()
    _, watchdog = await seen(offsets, Consumer())
    assert lag_told() == 5

    offsets.away = True
    await watchdog.look(1.0)
    assert lag_told() is None
    await watchdog.look(2.0)

    offsets.away = False
    await watchdog.look(3.0)
    assert lag_told() == 5


async def test_a_watchdog_that_has_ended_tells_of_no_lag() -> None:
    _, watchdog = await seen(Offsets(), Consumer())
    async with background(watchdog.run, on_failure=pytest.fail):
        await asyncio.sleep(0)
        assert lag_told() == 5

    assert lag_told() is None


async def test_a_log_that_is_shorter_than_what_was_committed_holds_what_has_come_since() -> None:
    offsets = Offsets(log={OURS: 3}, committed={OURS: 7})
    _, watchdog = await seen(offsets, Consumer())
    assert not await watchdog.stuck(LATER)

    offsets.log[OURS] = 4
    assert not await watchdog.stuck(LATER + 1)
    assert await watchdog.stuck(2 * LATER + 2)


async def test_a_commit_between_the_two_questions_of_a_look_is_no_log_that_is_gone() -> None:
    offsets = Offsets(log={OURS: 5}, committed={OURS: 5})
    _, watchdog = await seen(offsets, Consumer())
    offsets.log[OURS], offsets.committed[OURS] = 6, 7  # the end was asked for first
    assert not await watchdog.stuck(1.0)
    offsets.log[OURS] = 7

    assert not await watchdog.stuck(2.0)
    assert not await watchdog.stuck(LATER + 2)


@pytest.mark.parametrize(("anew", "stuck"), [(0, False), (3, True)])
async def test_a_log_that_began_again_holds_what_is_in_it(anew: int, stuck: bool) -> None:
    offsets = Offsets(log={OURS: 7}, committed={OURS: 7})
    _, watchdog = await seen(offsets, Consumer())
    offsets.log[OURS] = anew

    assert not await watchdog.stuck(1.0)
    assert await watchdog.stuck(LATER) is stuck
