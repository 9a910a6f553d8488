"""Taking up what is due, and writing what came of it."""

import asyncio
from random import Random

from services.notifier.dispatch import Answer, Due, Lane, PendingDispatch, SuccessfulDispatch
from services.notifier.dispatcher import FairDispatcher, Room
from services.notifier.poller import Poller
from services.notifier.recorder import Recorder
from shared.errors import DependencyUnavailable
from tests.fakes_notifier import NOW, InMemoryAttempts, InMemoryLedger, InMemoryQueue, in_virtual_time, notice, pending

HOST = Lane("acme", "hooks.example.com")
DEAD = Lane("acme", "dead.example.com")


class Attempts:
    """Notes what is attempted; nobody answers at dead hosts."""

    def __init__(self) -> None:
        self.made: dict[str, int] = {}

    async def attempt(self, dispatch: PendingDispatch) -> bool:
        self.made[dispatch.delivery] = dispatch.made
        await asyncio.sleep(0.01)
        return dispatch.lane.host != DEAD.host


def polling(queue: InMemoryQueue, ledger: InMemoryLedger, attempts: Attempts, room: Room) -> tuple[Poller, Room]:
    fair = FairDispatcher(attempts.attempt, room, asyncio.get_running_loop().time)
    return Poller(["live"], queue, ledger, fair, Random(1), 0.5), room


def test_what_is_due_is_claimed_and_attempted() -> None:
    async def scenario() -> dict[str, int]:
        attempts = Attempts()
        poller, _ = polling(InMemoryQueue([Due("m1", HOST)]), InMemoryLedger(notice("m1")), attempts, Room())
        await poller.look("live")
        await asyncio.sleep(1)
        return attempts.made

    assert in_virtual_time(scenario) == {"m1": 1}


def test_what_another_notifier_took_is_left_to_it() -> None:
    async def scenario() -> tuple[dict[str, int], int]:
        attempts = Attempts()
        queue = InMemoryQueue([Due("m1", HOST), Due("m2", HOST)], others={"m1"})
        fair = FairDispatcher(attempts.attempt, Room(), asyncio.get_running_loop().time)
        poller = Poller(["live"], queue, InMemoryLedger(notice("m1"), notice("m2")), fair, Random(1), 0.5)
        await poller.look("live")
        await asyncio.sleep(1)
        return attempts.made, fair.free

    assert in_virtual_time(scenario) == ({"m2": 1}, Room().in_memory)


def test_a_delivery_without_url_or_ledger_document_is_ended() -> None:
    async def scenario() -> tuple[list[str], dict[str, int]]:
        attempts = Attempts()
        without_url = InMemoryQueue([Due("m1", HOST)], url="")
        without_document = InMemoryQueue([Due("m2", HOST)])
        for queue in (without_url, without_document):
            poller, _ = polling(queue, InMemoryLedger(notice("m1")), attempts, Room())
            await poller.look("live")
        return without_url.ended + without_document.ended, attempts.made

    assert in_virtual_time(scenario) == (["m1", "m2"], {})


def test_a_dead_receivers_backlog_hides_nothing_that_is_due_behind_it() -> None:
    async def scenario() -> tuple[dict[str, int], int]:
        attempts = Attempts()
        dead = [Due(f"d{n}", DEAD) for n in range(2000)]
        queue = InMemoryQueue([*dead, Due("m1", HOST)])
        notices = [notice(due.delivery) for due in dead]
        fair = FairDispatcher(attempts.attempt, Room(), asyncio.get_running_loop().time)
        poller = Poller(["live"], queue, InMemoryLedger(*notices, notice("m1")), fair, Random(1), 0.5)
        for n in range(3):
            fair.reserve(DEAD)
            fair.submit(pending(f"before{n}", DEAD))
        await asyncio.sleep(1)
        polls = asyncio.ensure_future(poller.run())
        await asyncio.sleep(2)
        polls.cancel()
        return attempts.made, len(queue.postponed)

    made, postponed = in_virtual_time(scenario)
    assert "m1" in made
    assert postponed > 1900


def test_a_busy_receivers_endless_backlog_hides_nothing_that_is_due_behind_it() -> None:
    async def scenario() -> tuple[dict[str, int], int]:
        attempts = Attempts()
        busy = [Due(f"b{n}", HOST) for n in range(7000)]
        queue = InMemoryQueue([*busy, Due("m1", Lane("other", "quiet.example.com"))])
        ledger = InMemoryLedger(*(notice(each.delivery) for each in busy), notice("m1", tenant="other"))
        poller, _ = polling(queue, ledger, attempts, Room(in_memory_per_lane=8))
        polls = asyncio.ensure_future(poller.run())
        await asyncio.sleep(2)
        polls.cancel()
        return attempts.made, len(queue.postponed)

    made, postponed = in_virtual_time(scenario)
    assert "m1" in made
    assert postponed > 1000


def test_a_busy_receivers_backlog_is_worked_off_without_waiting_for_the_next_poll() -> None:
    async def scenario() -> int:
        attempts = Attempts()
        due = [Due(f"m{n}", HOST) for n in range(1000)]
        ledger = InMemoryLedger(*(notice(each.delivery) for each in due))
        poller, _ = polling(InMemoryQueue(due), ledger, attempts, Room(in_memory_per_lane=64))
        polls = asyncio.ensure_future(poller.run())
        await asyncio.sleep(2.5)
        polls.cancel()
        return len(attempts.made)

    assert in_virtual_time(scenario) > 900


def success(delivery: str) -> SuccessfulDispatch:
    return SuccessfulDispatch(pending(delivery), Answer(200, 3), NOW)


def test_results_that_end_meanwhile_are_written_together() -> None:
    async def scenario() -> InMemoryAttempts:
        written = InMemoryAttempts()
        recorder = Recorder(written, 0.05)
        running = asyncio.ensure_future(recorder.run())
        for n in range(100):
            recorder.add(success(f"m{n}"))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        running.cancel()
        return written

    written = in_virtual_time(scenario)
    assert sorted(written.written) == sorted(f"m{n}" for n in range(100))
    assert len(written.requests) <= 25


def test_an_absent_database_loses_no_result_and_repeats_the_same_attempt_id() -> None:
    async def scenario() -> InMemoryAttempts:
        written = InMemoryAttempts([DependencyUnavailable("mongodb"), DependencyUnavailable("mongodb")])
        recorder = Recorder(written, 0.0)
        recorder.add(success("m1"))
        await recorder.flush()
        return written

    written = in_virtual_time(scenario)
    assert written.written == ["m1"]
    assert len(written.tried) == 3
    assert len(set(written.tried)) == 1


def test_one_result_that_cannot_be_written_costs_only_itself() -> None:
    async def scenario() -> InMemoryAttempts:
        written = InMemoryAttempts(poison="m2")
        recorder = Recorder(written, 0.0)
        for name in ("m1", "m2", "m3"):
            recorder.add(success(name))
        await recorder.flush()
        return written

    assert in_virtual_time(scenario).written == ["m1", "m3"]


def test_a_write_that_is_cut_off_is_repeated_by_the_last_flush() -> None:
    async def scenario() -> list[str]:
        written = InMemoryAttempts()
        recorder = Recorder(written, 0.0)
        running = asyncio.ensure_future(recorder.run())
        recorder.add(success("m1"))
        await written.begun.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert written.written == []
        await recorder.flush()
        return written.written

    assert in_virtual_time(scenario) == ["m1"]


def test_a_database_that_goes_away_while_results_are_written_one_by_one_loses_none() -> None:
    async def scenario() -> list[str]:
        written = InMemoryAttempts([ValueError("the batch"), DependencyUnavailable("mongodb")])
        recorder = Recorder(written, 0.0)
        for name in ("m1", "m2"):
            recorder.add(success(name))
        await recorder.flush()
        return written.written

    assert in_virtual_time(scenario) == ["m1", "m2"]
