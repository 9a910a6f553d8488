"""A tenant's window: how many of its mutations may be published and unfinished at once (design §8)."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Protocol

from shared.limits import WINDOW_LEAST

FINISHED_SECONDS: Final = 2.0
RECOUNT_SECONDS: Final = 0.5


class Counts(Protocol):
    """What a window is counted from; see MongoOutbox."""

    async def under_way(self, environment: str, tenant: str) -> int: ...
    async def finished(self, environment: str, tenant: str, seconds: float) -> int: ...


@dataclass(slots=True)
class Window:
    """One tenant's window; `under_way` only grows between two counts, so it errs on the small side."""

    size: int = WINDOW_LEAST
    under_way: int = 0
    waiting: bool = False

    @property
    def free(self) -> int:
        """How many more may be published now."""
        return max(self.size - self.under_way, 0)


class Windows:
    """The windows of all tenants; counted from the ledger, so a dead ingest loses nothing."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._windows: dict[tuple[str, str], Window] = defaultdict(Window)

    def take(self, environment: str, tenant: str) -> bool:
        """A place for one more, unless the window is full or older ones wait for it."""
        window = self._windows[environment, tenant]
        if window.waiting or not window.free:
            window.waiting = True
            return False
        window.under_way += 1
        return True

    def waits(self, environment: str, tenant: str) -> None:
        """The ledger holds unpublished mutations of this tenant."""
        self._windows[environment, tenant].waiting = True

    def waiting(self) -> list[tuple[str, str]]:
        """Tenants for which something waits."""
        return [name for name, window in self._windows.items() if window.waiting]

    async def recount(self, environment: str, tenant: str) -> int:
        """Count anew; how many may be published now."""
        window = self._windows[environment, tenant]
        window.under_way = await self._counts.under_way(environment, tenant)
        window.size = max(await self._counts.finished(environment, tenant, FINISHED_SECONDS), WINDOW_LEAST)
        return window.free

    def published(self, environment: str, tenant: str, count: int, left: bool) -> None:
        """So many were published; `left`: more of them wait."""
        window = self._windows[environment, tenant]
        window.under_way += count
        window.waiting = left
