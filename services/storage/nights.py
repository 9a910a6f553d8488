"""Every night each tenant's sandbox is asked to be emptied; a night that was missed is caught up."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import Final, Protocol

LOOK_SECONDS: Final = 60.0
LEASE: Final = "storage.nights"
LEASE_SECONDS: Final = 180.0


class Requests(Protocol):
    """Where resets are asked for; see Resets."""

    async def request(self, tenant: str, at: datetime) -> None: ...


class Nights:
    """Asks once a night. As of the hour itself, so that asking again, or late in the morning, takes nothing else."""

    def __init__(
        self, at: time, requests: Requests, tenants: Callable[[], Awaitable[list[str]]], now: Callable[[], datetime]
    ) -> None:
        self._at, self._requests, self._tenants, self._now = at, requests, tenants, now
        self._asked: datetime | None = None

    async def round(self, hold: Callable[[str, float], Awaitable[bool]]) -> None:
        """Ask for the latest night, if that is not done. Raises DependencyUnavailable."""
        night = latest_night(self._now(), self._at)
        if night != self._asked and await hold(LEASE, LEASE_SECONDS):
            for tenant in await self._tenants():
                await self._requests.request(tenant, night)
            self._asked = night


def latest_night(now: datetime, at: time) -> datetime:
    """When it was last so late, UTC."""
    tonight = datetime.combine(now.date(), at, UTC)
    return tonight if tonight <= now else tonight - timedelta(days=1)
