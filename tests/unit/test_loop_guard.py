"""The thread that ends a process whose loop stands still: it counts looks, and a running loop answers each."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from shared.loop_guard import LoopGuard


def guard(blocked_seconds: float = 3) -> LoopGuard:
    return LoopGuard(asyncio.get_running_loop(), blocked_seconds, lambda code: None)


async def test_a_loop_that_runs_is_left_alone() -> None:
    looking = guard()
    for _ in range(20):
        assert looking.look() == ""
        await asyncio.sleep(0)


async def test_a_loop_that_stands_still_ends_the_process_after_as_many_looks() -> None:
    looking = guard()

    assert [looking.look() for _ in range(5)] == ["", "", "", "", "loop.blocked"]  # and never yields


async def test_a_loop_that_moves_now_and_then_lives() -> None:
    looking = guard()
    for _ in range(10):
        assert [looking.look() for _ in range(3)] == [""] * 3
        await asyncio.sleep(0)


async def test_leaving_ends_with_the_grace_time() -> None:
    looking = guard()
    looking.leave_within(3)
    looking.leave_within(60)  # told once more: nothing is won
    seen = []
    for _ in range(4):
        seen.append(looking.look())
        await asyncio.sleep(0)

    assert seen == ["", "", "", "stop.cut"]


def test_a_loop_that_has_ended_is_no_reason() -> None:
    async def made() -> LoopGuard:
        return guard()

    looking = asyncio.run(made())

    assert [looking.look() for _ in range(20)] == [""] * 20


def blocked(*_: object) -> list[str]:
    threading.Event().wait(60)
    return []


def broken(*_: object) -> list[str]:
    raise OSError("no such source")


@pytest.mark.parametrize("telling", [blocked, broken])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_the_process_ends_also_when_the_stack_can_not_be_told(telling: Callable[..., list[str]]) -> None:
    ended = threading.Event()
    looking = LoopGuard(asyncio.get_running_loop(), 3, lambda code: ended.set(), 0.01, 0.05, telling)
    looking.leave_within(0)
    looking.start()

    assert await asyncio.to_thread(ended.wait, 5.0)
