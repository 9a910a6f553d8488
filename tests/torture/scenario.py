"""What a scenario gets, and what it gives back: figures, and every promise that it saw broken."""

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

Broker: TypeAlias = Literal["tansu", "kafka"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a scenario, in an empty directory of its own; the same seed makes the same choices.

    `short` is the form for `make test`: minutes at most, and no figure of time may break it. `counted` is how far it
    is, by what is counted, for whoever watches.
    """

    directory: Path
    seed: int
    broker: Broker = "kafka"
    short: bool = False
    counted: dict[str, Callable[[], str]] = field(default_factory=dict)

    def rng(self) -> random.Random:
        """Begins anew at every call."""
        return random.Random(self.seed)


@dataclass(slots=True)
class Findings:
    """`figures` go into the report; a run is good when `broken` is empty."""

    figures: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def expect(self, held: bool, promise: str) -> None:
        """Note a promise that was broken, in words that show what was seen."""
        if not held:
            self.broken.append(promise)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name for the command line, the sentence that must hold, and what shows it."""

    name: str
    promise: str
    play: Callable[[Run], Coroutine[Any, Any, Findings]]
    brokers: tuple[Broker, ...] = ("kafka", "tansu")
    short_broker: Broker = "tansu"  # on which the short form is played
