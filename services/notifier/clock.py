"""The database's time, asked once a minute and counted on by a monotonic clock, so that notifiers agree on it.

It goes into queries as a plain value, so that every server uses its index: `$$NOW` in a filter may cost a full scan.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from shared.ledger import Client, translated

ASK_AGAIN_SECONDS: Final = 60.0


class DatabaseClock:
    """Off by at most one round trip."""

    def __init__(self, client: Client, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client, self._monotonic = client, monotonic
        self._asked: tuple[float, datetime] | None = None

    async def now(self) -> datetime:
        """The present time of the database. Raises DependencyUnavailable."""
        if self._asked is None or self._monotonic() - self._asked[0] > ASK_AGAIN_SECONDS:
            async with translated():
                answer = await self._client.admin.command("hello")
            self._asked = (self._monotonic(), answer["localTime"])
        at, told = self._asked
        return told + timedelta(seconds=self._monotonic() - at)
