"""A batch with a bad record in it: its neighbours are worked off with little delay, and only the bad one is a bug."""

from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from structlog.testing import capture_logs

from services.storage.consumer import FetchedConsumer
from shared.broker import Record
from shared.consume import BUGS_IN_A_ROW, BatchConsumer, Delivery
from shared.dead_letters import DeadLetters
from shared.errors import DependencyUnavailable
from shared.limits import MAX_TRIES
from tests.factories import fetched, mutation

TOPIC = "mutations.test"


class Reader:
    """Takes commits."""

    def __init__(self) -> None:
        self.committed: list[int] = []

    async def commit(self, offsets: dict[Any, int]) -> None:
        self.committed += offsets.values()


class Stand:
    """A consumer whose handling fails where a batch holds one of these offsets; some meet an absent server first."""

    def __init__(self, *bad: int, absent: Sequence[int] = ()) -> None:
        self._bad, self._absent = set(bad), list(absent)
        self.batches: list[list[int]] = []
        self.worked: list[int] = []
        self.bugs: list[int] = []
        self.fatal = False
        self.reader = Reader()
        self._consumer = BatchConsumer(self._read, self._handle, DeadLetters(None), self._bug, self._stop)  # type: ignore[arg-type]

    async def take(self, count: int) -> None:
        """One batch of so many records."""
        with capture_logs():
            await self._consumer.on_batch(tuple(_record(offset) for offset in range(count)), self.reader)

    @staticmethod
    def _read(record: Record) -> Delivery[int]:
        return Delivery(record.offset, "", record)

    async def _handle(self, deliveries: Sequence[Delivery[int]]) -> None:
        offsets = [delivery.event for delivery in deliveries]
        self.batches.append(offsets)
        if self._bad & set(offsets):
            raise ValueError("a bug")
        if self._absent and self._absent[0] in offsets:
            raise DependencyUnavailable("s3", f"away for {self._absent.pop(0)}")
        self.worked += offsets

    async def _bug(self, delivery: Delivery[int], _: Exception) -> None:
        self.bugs.append(delivery.event)

    def _stop(self) -> None:
        self.fatal = True


def _record(offset: int) -> Record:
    return ConsumerRecord(TOPIC, 0, offset, 0, 0, None, b"", None, 0, 0, ())


async def test_one_bad_record_costs_its_neighbours_a_few_batches_not_one_each() -> None:
    stand = Stand(137)
    await stand.take(500)
    assert stand.bugs == [137]
    assert stand.worked == [offset for offset in range(500) if offset != 137]
    assert len(stand.batches) <= 20
    assert stand.reader.committed == [500]


async def test_every_bad_record_is_found_and_told_once() -> None:
    stand = Stand(0, 1, 63, 64, 99)
    await stand.take(100)
    assert stand.bugs == [0, 1, 63, 64, 99]
    assert sorted(stand.worked + stand.bugs) == list(range(100))


async def test_many_bad_records_among_good_ones_stop_nobody() -> None:
    stand = Stand(*range(0, 4 * BUGS_IN_A_ROW, 2))
    await stand.take(4 * BUGS_IN_A_ROW)
    assert len(stand.bugs) == 2 * BUGS_IN_A_ROW
    assert not stand.fatal


async def test_bad_records_without_a_good_one_between_them_stop_the_consumer() -> None:
    stand = Stand(*range(BUGS_IN_A_ROW))
    await stand.take(BUGS_IN_A_ROW)
    assert stand.fatal


async def test_a_bug_beside_an_absent_server_is_told_once_however_often_the_batch_is_held() -> None:
    stand = Stand(2, absent=[5, 0])
    await stand.take(8)
    assert stand.bugs == [2]
    assert sorted({*stand.worked, *stand.bugs}) == list(range(8))
    assert stand.reader.committed == [8]


class Storage:
    """A mutation that meets a bug, in the hands of a consumer: counted, dead-lettered, ended, in this order."""

    def __init__(self, refused: int = 0, endless: bool = False) -> None:
        self._refused, self._endless = refused, endless
        self.counted = 0
        self.done: list[str] = []
        self._consumer = FetchedConsumer(self, self, self)  # type: ignore[arg-type]

    async def fail(self) -> None:
        """One more try that meets the bug."""
        with capture_logs():
            await self._consumer.on_bug(Delivery(fetched(mutation()), "", _record(0)), ValueError("a bug"))

    async def tries(self, environment: str, mutation: str) -> int:
        return self.counted

    async def raise_tries(self, environment: str, mutation: str, tries: int) -> None:
        if self.counted == tries - 1:
            self.counted = tries

    async def send(self, record: Record, reason: str, attempts: int) -> None:
        if self._refused:
            self._refused -= 1
            raise DependencyUnavailable("kafka")
        self.done.append(f"letter after {attempts}")

    async def end(self, environment: str, ids: Sequence[str], code: str) -> None:
        self.done.append("end")
        if self._endless:
            raise ValueError("another bug")


async def test_what_can_not_even_be_ended_is_a_dead_letter_and_holds_up_nobody() -> None:
    storage = Storage(endless=True)
    for _ in range(MAX_TRIES + 1):
        await storage.fail()
    assert storage.done == [f"letter after {MAX_TRIES}", "end", "end"]


async def test_no_mutation_ends_for_a_bug_before_kafka_has_its_dead_letter() -> None:
    storage = Storage(refused=2)
    for _ in range(MAX_TRIES - 1):
        await storage.fail()
    for _ in range(2):
        with pytest.raises(DependencyUnavailable):
            await storage.fail()
        assert storage.done == []
    await storage.fail()
    assert storage.done == [f"letter after {MAX_TRIES}", "end"]
    assert storage.counted == MAX_TRIES
