"""Signals for processes where it hurts: at a named point of the protocol, when somebody passes it."""

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from random import Random
from typing import Final

from shared.crash_points import POINTS
from tests.retry import eventually
from tests.torture.world import World

PASSING_SECONDS: Final = 4.0  # within which somebody comes by an armed point


class PointFaults:
    """Arms points and counts who was hit; points that nobody has come by yet are armed every time."""

    def __init__(self, world: World, signal: str) -> None:
        self._world, self._signal = world, signal
        self.hits: Counter[str] = Counter()

    @property
    def reached(self) -> int:
        """How many points were hit."""
        return sum(1 for point in POINTS if self.hits[point])

    def by_point(self) -> dict[str, int]:
        """For the report."""
        return {point: self.hits[point] for point in POINTS if self.hits[point]}

    def choice(self, service: str, rng: Random) -> set[str]:
        """One of a service's points, and with it those without a hit."""
        own = [point for point in POINTS if point.startswith(f"{service}.")]
        return {rng.choice(own)} | {point for point in own if not self.hits[point]}

    async def strike(self, points: Collection[str], seconds: float = PASSING_SECONDS) -> set[str]:
        """Arm these points until somebody passes one of them; those that were passed."""
        files = {point: self._world.points / point for point in sorted(points)}
        for file in files.values():
            fresh = file.with_name(f".{file.name}")
            fresh.write_text(self._signal)
            fresh.rename(file)

        async def passed() -> None:
            assert not all(file.exists() for file in files.values())

        with suppress(AssertionError):
            await eventually(passed, seconds)
        hit = set()
        for point, file in files.items():
            try:
                file.unlink()
            except FileNotFoundError:  # whoever took it away has got the signal
                hit.add(point)
        self.hits.update(hit)
        return hit
