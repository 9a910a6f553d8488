"""Which dead letters are meant, and that they are replayed as they came."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.ingest import letters
from services.ingest.letters import FOUND_SECONDS, TOPIC, Chosen, KafkaLetters, Replayed
from shared import topics
from shared.dead_letters import DeadLetters
from shared.errors import DependencyUnavailable
from shared.events import Header
from shared.limits import DEAD_LETTERS_READ

DLQ = "mutations.accepted.dlq"
ZERO, ONE = TopicPartition("t.dlq", 0), TopicPartition("t.dlq", 1)


class Kept:
    """The headers of what was sent last."""

    headers: tuple[Header, ...] = ()

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        self.headers = tuple(headers)


class Log:
    """A broker with one dead-letter topic: remembers what was sent, counts its readers, lets none read before `go`.

    At most `at_once` records come before a reader's time is over.
    """

    def __init__(self, *records: Any, at_once: int = 20_000) -> None:
        self.records, self.sent, self.readers, self.at_once = records, list[Any](), 0, at_once
        self.left = dict[TopicPartition, tuple[int, int]]()
        self.come, self.go = asyncio.Event(), asyncio.Event()
        self.offsets = self

    async def ends(self, pattern: Any) -> dict[TopicPartition, int]:
        return {ZERO: len(self.records)}

    async def starts(self, partitions: Any) -> dict[TopicPartition, int]:
        return {ZERO: 0}

    async def send(self, *sent: Any) -> None:
        self.sent.append(sent)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        self.readers += 1
        self.come.set()
        await self.go.wait()
        yield self

    async def read(self, spans: Any, seconds: float) -> AsyncIterator[Any]:
        for partition, (first, end) in spans.items():
            stop = min(end, first + self.at_once)
            yield self.records[first:stop]
            self.left = {partition: (stop, end)} if stop < end else {}

    def letters(self, found_seconds: float = FOUND_SECONDS) -> KafkaLetters:
        kafka: Any = self
        return KafkaLetters(kafka, self.opened, found_seconds)


def record(offset: int = 7, headers: Collection[Header] = (), value: bytes | None = b"raw") -> Any:
    return SimpleNamespace(
        topic="mutations.accepted", partition=1, offset=offset, key=b"k", value=value, headers=tuple(headers),
        timestamp=1_767_225_600_000,
    )  # fmt: skip


async def letter(reason: str, own: Collection[Header] = (), value: bytes | None = b"raw") -> Any:
    """A letter as it is written for a record with headers of its own."""
    kept = Kept()
    await DeadLetters(kept).send(record(headers=own, value=value), reason, 2)
    return record(headers=kept.headers, value=value)


def letter_at(offset: int) -> Any:
    """One at offset n of partition 0 that holds n."""
    reason = [("dlq_reason", b"poison")]
    return SimpleNamespace(**vars(record(offset, reason, b"%d" % offset)) | {"partition": 0})


async def test_a_letter_goes_back_with_its_own_headers_only() -> None:
    own = (("ce_id", b"m1.accepted"), ("traceparent", b"00-1"), ("ce_id", b"again"))
    assert letters._own_headers(await letter("poison", own)) == list(own)


async def test_what_we_wrote_on_a_letter_counts_and_not_what_its_sender_did() -> None:
    shown = letters._letter(await letter("poison", [("dlq_reason", b"forged"), ("dlq_topic", b"mutations.completed")]))
    assert (shown["reason"], shown["sourceTopic"], shown["tries"]) == ("poison", "mutations.accepted", 2)


@pytest.mark.parametrize("value", [None, b"", b"\xff" * 10_000_000])
async def test_of_a_letter_only_the_beginning_is_shown(value: bytes | None) -> None:
    shown = letters._letter(await letter("poison", value=value))
    assert shown["bytes"] == len(value or b"")
    assert len(shown["excerpt"]) <= letters.EXCERPT


async def test_letters_are_chosen_by_reason_and_place() -> None:
    found = await letter("poison")
    for chosen, taken in (
        (Chosen(), True),
        (Chosen("poison"), True),
        (Chosen("other"), False),
        (Chosen(None, {(1, 7)}), True),
        (Chosen(None, {(0, 7), (1, 8)}), False),
        (Chosen("other", {(1, 7)}), False),
        (Chosen(None, None, [(0, 0, 9), (1, 7, 8)]), True),
        (Chosen(None, None, [(0, 0, 9), (1, 6, 7), (1, 8, 9)]), False),
        (Chosen(None, {(1, 7)}, [(1, 8, 9)]), False),
    ):
        assert chosen.takes(found) is taken


async def test_letters_of_one_record_are_replayed_as_one() -> None:
    """Or each replay that is in vain would double what the next one replays."""
    first = await letter("poison", value=b"one")
    log = Log(first, await letter("poison", value=b"two"), await letter("other", value=b"one"))
    log.go.set()
    for dry_run, sent in ((True, []), (False, [b"one", b"two"])):
        done = Replayed()
        assert await log.letters().replay(DLQ, Chosen(), dry_run, done)
        assert done == Replayed(2, [])
        assert [value for _, _, value, _ in log.sent] == sent
    assert {topic for topic, *_ in log.sent} == {"mutations.accepted"}


@pytest.mark.parametrize("at_once", [1, 3, 20_000])
async def test_replays_that_go_on_where_the_last_has_stopped_come_to_every_letter_once_the_oldest_first(
    at_once: int,
) -> None:
    """Also when what was in vain becomes a letter again meanwhile: what has come since the first is none of them."""
    many = DEAD_LETTERS_READ + 2 if at_once > DEAD_LETTERS_READ else 7
    log = Log(*[letter_at(n) for n in range(many)], at_once=at_once)
    log.go.set()
    done, parts, answers = Replayed(), None, 0
    while not answers or done.left:
        done = Replayed()
        await log.letters().replay(DLQ, Chosen(parts=parts), False, done)
        parts, answers = done.left, answers + 1
        log.records = (*log.records, letter_at(many + answers))

    assert [value for _, _, value, _ in log.sent] == [b"%d" % n for n in range(many)]
    assert answers == -(-many // min(at_once, DEAD_LETTERS_READ))


async def test_letters_that_lie_far_apart_are_met_by_going_on() -> None:
    log = Log(*[letter_at(n) for n in range(DEAD_LETTERS_READ + 5)])
    log.go.set()
    far = {(0, 1), (0, DEAD_LETTERS_READ + 3)}
    first, second = Replayed(), Replayed()
    await log.letters().replay(DLQ, Chosen(None, far), False, first)
    await log.letters().replay(DLQ, Chosen(None, far, first.left), False, second)

    assert (first, second) == (Replayed(1, [(0, DEAD_LETTERS_READ + 1, DEAD_LETTERS_READ + 4)]), Replayed(1, []))
    assert [value for _, _, value, _ in log.sent] == [b"1", b"%d" % (DEAD_LETTERS_READ + 3)]


class Full(Log):
    """A broker that takes two records and no more."""

    async def send(self, *sent: Any) -> None:
        if len(self.sent) == 2:
            raise DependencyUnavailable("kafka")
        await super().send(*sent)


async def test_what_was_replayed_before_it_broke_off_is_counted() -> None:
    log, done = Full(*[letter_at(n) for n in range(5)]), Replayed()
    log.go.set()
    with pytest.raises(DependencyUnavailable):
        await log.letters().replay(DLQ, Chosen(), False, done)

    assert done.letters == 2


async def test_who_waits_to_see_the_letters_shares_one_look_that_began_after_all_had_asked() -> None:
    log = Log()
    log.records = (SimpleNamespace(**vars(await letter("poison")) | {"topic": ZERO.topic}),)
    letters = log.letters()
    looks = [asyncio.create_task(letters.topics()) for _ in range(5)]
    await log.come.wait()
    log.go.set()
    found = await asyncio.gather(*looks)
    assert [[each["total"] for each in one] for one in found] == [[1]] * 5
    assert log.readers == 2
    assert await letters.topics() == found[0]
    assert log.readers == 3


class Away(Log):
    """A broker that is away; lets each who asks wait until `go`."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        async with super().opened():
            raise DependencyUnavailable("kafka")
        yield


async def test_who_waits_while_the_broker_is_away_is_told_with_the_first() -> None:
    log = Away()
    letters = log.letters()
    replay = letters.replay(DLQ, Chosen(), True, Replayed())
    looks = [
        asyncio.create_task(each)
        for each in (letters.topics(), letters.letters(DLQ, None, 1), replay, letters.topics())
    ]
    await log.come.wait()
    await asyncio.sleep(0.01)  # the clock of the loop counts milliseconds
    log.go.set()
    found = await asyncio.gather(*looks, return_exceptions=True)
    assert [type(each) for each in found] == [DependencyUnavailable] * 4
    assert log.readers == 1
    with pytest.raises(DependencyUnavailable):
        await letters.topics()
    assert log.readers == 2


async def test_a_broker_that_says_nothing_is_away() -> None:
    with pytest.raises(DependencyUnavailable):
        await Log().letters(found_seconds=0.01).topics()


@pytest.mark.parametrize("topic", ["nix", "mutations.completed", "mutations.commands.acme", "x y", ""])
async def test_no_broker_is_asked_about_what_is_no_dead_letter_topic(topic: str) -> None:
    log = Log()
    assert await log.letters().letters(topic, None, 1) is None
    assert not await log.letters().replay(topic, Chosen(), False, Replayed())
    assert log.readers == 0


def test_no_more_is_read_than_what_was_asked_for() -> None:
    spans = {ZERO: (5, 100), ONE: (0, 3)}
    assert letters._newest(spans, 10) == {ZERO: (90, 100), ONE: (0, 3)}
    assert letters._oldest(spans, 10) == {ZERO: (5, 15), ONE: (0, 3)}
    assert letters._cut(spans, [(0, 7, 8), (0, 9, 10), (0, 0, 5), (1, 3, 4), (2, 0, 1)]) == {ZERO: (7, 10)}
    assert letters._cut(spans, [(0, 0, 200), (1, 2, 1)]) == {ZERO: (5, 100)}
    assert letters._cut(spans, None) == spans


def test_every_dead_letter_topic_is_one_and_no_other_topic_is() -> None:
    every = {spec.name for spec in topics.all_topics(["acme"], 1)}
    assert {name for name in every if TOPIC.fullmatch(name)} == {name for name in every if name.endswith(".dlq")}
    assert TOPIC.fullmatch("mutations.commands.dlq.dlq")
    for name in ("mutations.commands.dlq", "mutations.commands.a.b.dlq", "mutations.outcomes.acme.dlq", "x.dlq"):
        assert not TOPIC.fullmatch(name)
