"""What every process does alike: a background job that dies is noticed."""

import asyncio
from contextlib import suppress

from shared.process import Lifecycle, background


async def test_a_job_that_dies_makes_the_process_leave() -> None:
    lifecycle = Lifecycle()

    async def dies() -> None:
        raise LookupError("unexpected")

    async with background(dies, on_failure=lifecycle.fail), asyncio.timeout(5):
        await lifecycle.stopping.wait()

    assert lifecycle.exit_code == 1


async def test_a_job_that_lives_until_the_end_is_no_failure() -> None:
    lifecycle, started = Lifecycle(), asyncio.Event()

    async def lives() -> None:
        started.set()
        await asyncio.Event().wait()

    async with background(lives, on_failure=lifecycle.fail):
        await started.wait()

    assert lifecycle.exit_code == 0


async def test_a_job_that_does_not_hear_its_first_cancellation_ends_all_the_same() -> None:
    started, cancelled = asyncio.Event(), 0

    async def deaf() -> None:
        nonlocal cancelled
        while cancelled < 2:
            started.set()
            with suppress(asyncio.CancelledError):  # as `wait_for` of Python 3.11 when the result is there already
                await asyncio.Event().wait()
            cancelled += 1

    async with asyncio.timeout(5):
        async with background(deaf, on_failure=Lifecycle().fail):
            await started.wait()

    assert cancelled == 2
