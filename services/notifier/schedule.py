"""When a callback is tried again: one table and pure functions; randomness and the present time are parameters."""

from collections.abc import Sequence
from random import Random
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE

# Seconds before each attempt, counted from the end of the one before it.
PAUSES: Final = (
    0.0,
    5.0,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
JITTER: Final = 0.2
LEAST_SECONDS: Final = 60.0  # after a 429 or a time-out: whoever is overloaded is not asked again at once
RETRY_AFTER_MOST: Final = 2.0  # a receiver may stretch our own pause to twice its length, and never shorten it

# A receiver that has not answered so many times in a row gets few attempts at a time; the rest is put off.
FAILING_FROM: Final = 3
POSTPONE_FIRST: Final = 15.0
POSTPONE_MOST: Final = 5 * MINUTE
BUSY_SECONDS: Final = 30.0  # one that answers, but whose backlog hides everybody else's


def clamp(asked: float | None, own: float) -> float:
    """What the receiver asks for, between once and twice our own pause."""
    return own if asked is None else min(max(asked, own), RETRY_AFTER_MOST * own)


def next_pause(
    pauses: Sequence[float], made: int, rng: Random, *, asked: float | None = None, least: float = 0.0
) -> float | None:
    """Seconds until the next attempt after `made` attempts, jittered by ±20 %; None: there is none, it is exhausted."""
    if made >= len(pauses):
        return None
    own = pauses[made] * rng.uniform(1 - JITTER, 1 + JITTER)
    return max(clamp(asked, own), least)


def postponement(failures: int, rng: Random) -> float:
    """Seconds to put off what a receiver that answers nothing has no room for; doubles with its failures in a row."""
    doublings = min(max(failures - FAILING_FROM, 0), 16)
    return float(min(POSTPONE_FIRST * 2**doublings, POSTPONE_MOST) * rng.uniform(1 - JITTER, 1 + JITTER))
