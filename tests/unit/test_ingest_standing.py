"""How the engine stands is looked up once for everybody, also while a server lets its askers wait."""

import asyncio
from contextlib import nullcontext
from typing import Any

from services.ingest.standing import FRESH_SECONDS, Standing
from shared.errors import DependencyUnavailable


class SilentBroker:
    """Is away, and lets each asker wait for that longer than a look stays fresh; counts them."""

    def __init__(self) -> None:
        self.asked = 0
        self.offsets = self

    async def lags(self, topic: object) -> list[Any]:
        self.asked += 1
        await asyncio.sleep(FRESH_SECONDS + 0.1)
        raise DependencyUnavailable("kafka")


async def test_all_who_wait_for_a_slow_look_share_it() -> None:
    broker: Any = SilentBroker()
    unread: Any = nullcontext
    standing = Standing({}, broker, unread)
    found = await asyncio.gather(*(standing.look() for _ in range(5)))
    assert broker.asked == 1
    assert [each["away"] for each in found] == [["kafka"]] * 5
