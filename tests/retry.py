"""Waiting in tests: a bounded retry around the assertion."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_SECONDS = 0.05


async def eventually(check: Callable[[], Awaitable[T]], seconds: float = 30.0) -> T:
    """What `check` returns, as soon as it raises no AssertionError; its last one when the time is over."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while True:
        try:
            return await check()
        except AssertionError:
            if clock() > until:
                raise
        await asyncio.sleep(PAUSE_SECONDS)
