"""Once a night each tenant's sandbox is asked to be emptied."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

from services.storage.nights import Nights
from services.storage.settings import StorageSettings

THREE = time(3)
NIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)


@dataclass
class World:
    """A clock, two tenants, and what was asked for; `free` is whether the lease can be had."""

    now: datetime
    asked: list[tuple[str, datetime]] = field(default_factory=list)
    free: bool = True

    def nights(self) -> Nights:
        return Nights(THREE, self, self.tenants, lambda: self.now)

    async def request(self, tenant: str, at: datetime) -> None:
        self.asked.append((tenant, at))

    async def tenants(self) -> list[str]:
        return ["demo", "other"]

    async def hold(self, name: str, seconds: float) -> bool:
        return self.free


async def test_each_tenant_is_asked_for_once_a_night() -> None:
    world = World(NIGHT - timedelta(minutes=1))
    nights = world.nights()
    for minutes in range(3 * 24 * 60):
        world.now = NIGHT + timedelta(minutes=minutes)
        await nights.round(world.hold)
    expected = [(tenant, NIGHT + timedelta(days=day)) for day in range(3) for tenant in ("demo", "other")]
    assert world.asked == expected


async def test_a_missed_night_is_caught_up_as_of_its_hour() -> None:
    world = World(NIGHT + timedelta(hours=9))
    await world.nights().round(world.hold)
    assert world.asked == [("demo", NIGHT), ("other", NIGHT)]


async def test_before_the_hour_the_latest_night_was_yesterday() -> None:
    world = World(NIGHT - timedelta(seconds=1))
    await world.nights().round(world.hold)
    assert world.asked == [(tenant, NIGHT - timedelta(days=1)) for tenant in ("demo", "other")]


async def test_who_has_not_the_lease_asks_for_nothing_until_it_has() -> None:
    world = World(NIGHT, free=False)
    nights = world.nights()
    await nights.round(world.hold)
    assert world.asked == []
    world.free = True
    await nights.round(world.hold)
    assert len(world.asked) == 2


def test_the_hour_is_a_setting_and_empty_means_never() -> None:
    assert StorageSettings().sandbox_reset_at == THREE
    assert StorageSettings.model_validate({"sandbox_reset_at": "23:30"}).sandbox_reset_at == time(23, 30)
    assert StorageSettings.model_validate({"sandbox_reset_at": ""}).sandbox_reset_at is None
