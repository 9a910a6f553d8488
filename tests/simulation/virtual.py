"""Puts the virtual clock and the seed in the place of time and randomness, in every module of the services."""

import contextlib
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Final

import uuid_utils

from tests.simulation.loop import VirtualLoop

BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)
MODULES: Final = ("services.", "shared.", "tests.fakes")


def present(loop: VirtualLoop) -> datetime:
    """The virtual time, in milliseconds as MongoDB keeps it."""
    return BEGINNING + timedelta(milliseconds=int(loop.time() * 1000))


class Names:
    """Ids and random names, all from one seed; UUIDv7 grow with the virtual time."""

    def __init__(self, loop: VirtualLoop, rng: random.Random) -> None:
        self._loop, self._rng, self._number = loop, rng, 0

    def token_hex(self, size: int = 16) -> str:
        return f"{self._rng.getrandbits(8 * size):0{2 * size}x}"

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(int=self._rng.getrandbits(128), version=4)

    def uuid7(self) -> uuid.UUID:
        self._number += 1
        time_bits = int(self._loop.time() * 1000) << 80
        return uuid.UUID(int=time_bits | 7 << 76 | self._number << 64 | 2 << 62 | self._rng.getrandbits(62))


@contextlib.contextmanager
def everywhere(loop: VirtualLoop, rng: random.Random, log: Any) -> Iterator[None]:
    """While the block runs, the services see the virtual world; `log` takes what they log."""
    virtual = _replacements(loop, rng, log)
    spaces = [vars(module) for name, module in list(sys.modules.items()) if name.startswith(MODULES)]
    replaced = [
        (space, name, space[name])
        for space in spaces
        for name in virtual.keys() & space.keys()
        if name == "log" or space[name] is _REAL[name]
    ]
    try:
        for space, name, _ in replaced:
            space[name] = virtual[name]
        yield
    finally:
        for space, name, value in replaced:
            space[name] = value


_REAL: Final[dict[str, Any]] = {
    "datetime": datetime, "time": time, "secrets": secrets, "random": random, "uuid": uuid, "uuid7": uuid_utils.uuid7,
}  # fmt: skip


def _replacements(loop: VirtualLoop, rng: random.Random, log: Any) -> dict[str, Any]:
    names = Names(loop, rng)
    return {
        "datetime": _clock(lambda: present(loop)),
        "time": SimpleNamespace(monotonic=loop.time, time=lambda: present(loop).timestamp()),
        "secrets": names,
        "random": rng,
        "uuid": names,
        "uuid7": names.uuid7,
        "log": log,
    }


def _clock(now: Callable[[], datetime]) -> type[datetime]:
    class VirtualDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return now()

    return VirtualDatetime
