"""Which of our servers has not answered for how long, as their real use shows it; of the process, like its metrics."""

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge

NAMES: Final = ("kafka", "mongodb", "s3")
UNASKED_SECONDS: Final = 120.0  # who has not been asked for so long may be there again
LOST = Gauge("engine_dependency_lost_seconds", "Since the first failure after the last answer; 0: none", ["dependency"])


class Dependencies:
    """Adapters note every answer and every failure. What nobody uses is not looked after: it disturbs nobody."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failing_since: dict[str, float] = {}
        self._failed_at: dict[str, float] = {}

    def answered(self, name: str) -> None:
        """It did its work, or refused it."""
        self._failing_since.pop(name, None)

    def failed(self, name: str) -> None:
        """It did not answer, or said that it can't work."""
        self._forget(name)  # what nobody has asked for since its last failure was not away all that time
        self._failed_at[name] = self._clock()
        self._failing_since.setdefault(name, self._failed_at[name])

    def lost(self, name: str) -> float:
        """Seconds since the first failure after its last answer; 0 when it is there, or nobody asks for it any more."""
        self._forget(name)
        since = self._failing_since.get(name)
        return 0.0 if since is None else self._clock() - since

    def _forget(self, name: str) -> None:
        if name in self._failing_since and self._clock() - self._failed_at[name] > UNASKED_SECONDS:
            self.answered(name)

    def any_lost(self) -> bool:
        """Whether one of them is away."""
        for name in tuple(self._failing_since):
            self._forget(name)
        return bool(self._failing_since)


DEPENDENCIES: Final = Dependencies()
for _name in NAMES:
    LOST.labels(_name).set_function(lambda name=_name: DEPENDENCIES.lost(name))  # type: ignore[misc]
