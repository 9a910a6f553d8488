"""Which dead letters are meant, and that they are replayed as they came."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.ingest import letters
from services.ingest.letters import TOPIC, Chosen
from shared import topics
from shared.dead_letters import DeadLetters
from shared.events import Header

ZERO, ONE = TopicPartition("t.dlq", 0), TopicPartition("t.dlq", 1)


class Kept:
    """The headers of what was sent last."""

    headers: tuple[Header, ...] = ()

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        self.headers = tuple(headers)


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
