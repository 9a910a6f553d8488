"""Which dead letters are meant, and that they are replayed as they came."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.ingest import letters
from services.ingest.letters import TOPIC, Chosen, KafkaLetters, Replayed
from shared import topics
from shared.dead_letters import DeadLetters
from shared.errors import DependencyUnavailable
from shared.events import Header

ZERO, ONE = TopicPartition("t.dlq", 0), TopicPartition("t.dlq", 1)


class Kept:
    """The headers of what was sent last."""

    headers: tuple[Header, ...] = ()

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        self.headers = tuple(headers)


class Log:
    """A broker with one dead-letter topic: remembers what was sent, counts its readers, lets none read before `go`."""

    def __init__(self, *records: Any) -> None:
        self.records, self.sent, self.readers, self.complete = records, list[Any](), 0, True
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
        for first, end in spans.values():
            yield self.records[first:end]

    def letters(self) -> KafkaLetters:
        kafka: Any = self
        return KafkaLetters(kafka, self.opened)


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
    ):
        assert chosen.takes(found) is taken


async def test_letters_of_one_record_are_replayed_as_one() -> None:
    """Or each replay that is in vain would double what the next one replays."""
    first = await letter("poison", value=b"one")
    log = Log(first, await letter("poison", value=b"two"), await letter("other", value=b"one"))
    log.go.set()
    for dry_run, sent in ((True, []), (False, [b"one", b"two"])):
        done = await log.letters().replay("mutations.accepted.dlq", Chosen(), dry_run)
        assert done == Replayed(2, "mutations.accepted", True)
        assert [value for _, _, value, _ in log.sent] == sent


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
    letters, topic = log.letters(), "mutations.accepted.dlq"
    asked = [letters.topics(), letters.letters(topic, None, 1), letters.replay(topic, Chosen(), True), letters.topics()]
    looks = [asyncio.create_task(each) for each in asked]
    await log.come.wait()
    await asyncio.sleep(0.01)  # the clock of the loop counts milliseconds
    log.go.set()
    found = await asyncio.gather(*looks, return_exceptions=True)
    assert [type(each) for each in found] == [DependencyUnavailable] * 4
    assert log.readers == 1
    with pytest.raises(DependencyUnavailable):
        await letters.topics()
    assert log.readers == 2


async def test_a_broker_that_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "FOUND_SECONDS", 0.01)
    with pytest.raises(DependencyUnavailable):
        await Log().letters().topics()


@pytest.mark.parametrize("topic", ["nix", "mutations.completed", "mutations.commands.acme", "x y", ""])
async def test_no_broker_is_asked_about_what_is_no_dead_letter_topic(topic: str) -> None:
    log = Log()
    assert await log.letters().letters(topic, None, 1) is None
    assert await log.letters().replay(topic, Chosen(), False) is None
    assert log.readers == 0


def test_no_more_is_read_than_what_was_asked_for() -> None:
    spans = {ZERO: (5, 100), ONE: (0, 3)}
    assert letters._newest(spans, 10) == {ZERO: (90, 100), ONE: (0, 3)}
    assert letters._around(spans, {(0, 7), (0, 9), (0, 4), (1, 3), (2, 0)}) == {ZERO: (7, 10)}


def test_every_dead_letter_topic_is_one_and_no_other_topic_is() -> None:
    every = {spec.name for spec in topics.all_topics(["acme"], 1)}
    assert {name for name in every if TOPIC.fullmatch(name)} == {name for name in every if name.endswith(".dlq")}
    assert TOPIC.fullmatch("mutations.commands.dlq.dlq")
    for name in ("mutations.commands.dlq", "mutations.commands.a.b.dlq", "mutations.outcomes.acme.dlq", "x.dlq"):
        assert not TOPIC.fullmatch(name)
