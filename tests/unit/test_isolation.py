"""A batch with a bad record in it: its neighbours are worked off with little delay, and only the bad one is a bug."""

from collections.abc import Sequence
from typing import Any

from aiokafka import ConsumerRecord
from structlog.testing import capture_logs

from services.storage.consumer import FetchedConsumer
from shared.broker import Record
from shared.consume import BUGS_IN_A_ROW, BatchConsumer, Delivery
from shared.dead_letters import DeadLetters
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
    """A consumer whose handling fails where a batch holds one of these offsets."""

    def __init__(self, *bad: int) -> None:
        self._bad = set(bad)
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


class Ledger:
    """Counts tries."""

    def __init__(self) -> None:
        self.tries = 0

    async def raise_tries(self, environment: str, mutation: str) -> int:
        self.tries += 1
        return self.tries


class Letters:
    """Keeps how often each was tried."""

    def __init__(self) -> None:
        self.attempts: list[int] = []

    async def send(self, record: Record, reason: str, attempts: int) -> None:
        self.attempts.append(attempts)


class Unable:
    """A handler that can't even end a mutation."""

    def __init__(self) -> None:
        self.asked = 0

    async def end(self, environment: str, ids: Sequence[str], code: str) -> None:
        self.asked += 1
        raise ValueError("another bug")


async def test_what_can_not_even_be_ended_is_a_dead_letter_and_holds_up_nobody() -> None:
    ledger, letters, handler = Ledger(), Letters(), Unable()
    consumer = FetchedConsumer(handler, ledger, letters)  # type: ignore[arg-type]
    delivery = Delivery(fetched(mutation()), "", _record(0))
    with capture_logs():
        for _ in range(MAX_TRIES + 1):
            await consumer.on_bug(delivery, ValueError("a bug"))
    assert letters.attempts == [MAX_TRIES]
    assert handler.asked == 2
