"""Several things at once, of which none goes on behind the back of who has asked for them."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results, in order; at the first failure, which is raised, the others are cut off and have ended.

    What they do may be repeated, and waiting for a whole batch at an absent server would outlast the drain. A request
    that is cut off may still be carried out, as after a time-out.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        # Not a TaskGroup: that wraps the failure, and before Python 3.13 may lose a cancellation while it cuts off.
        return await asyncio.gather(*tasks)
    except (Exception, asyncio.CancelledError):
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
