"""A tenant's window: how many of its mutations may be published and unfinished at once (design §8)."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shared.events import MutationAccepted
from shared.limits import WINDOW_LEAST

FINISHED_SECONDS: Final = 1.0  # a window is what the pipeline finished in it, at least WINDOW_LEAST (ADR 0015)
QUEUE: Final = 2000  # what waits here, a tenant; the rest waits in the ledger alone


class Offered(NamedTuple):
    """A mutation that the ledger holds, as it goes to Kafka."""

    environment: str
    event: MutationAccepted
    traceparent: str

    @property
    def id(self) -> str:
        """The mutation id."""
        return self.event.mutation_id


@dataclass(slots=True)
class Window:
    """One tenant's window in one environment, counted from the ledger: a dead ingest loses nothing."""

    queue: deque[Offered] = field(default_factory=deque)
    # Published from here, fate unknown: by id, when the broker acknowledged it (`inf`: not yet).
    sent: dict[str, float] = field(default_factory=dict)
    size: int = WINDOW_LEAST
    marked: int = 0  # published and unfinished, as the ledger has it
    forgotten: bool = False  # the ledger holds waiting mutations that are not in the queue
    doubtful: bool = False  # it may hold some; what is offered meanwhile is no later for it

    @property
    def free(self) -> int:
        """How many more may be published now."""
        return max(self.size - self.marked - len(self.sent), 0)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to keep it for."""
        return not (self.queue or self.sent or self.forgotten or self.doubtful)

    def offer(self, offered: Offered) -> None:
        """Queue it; what has no room is found in the ledger later."""
        if self.forgotten or len(self.queue) >= QUEUE:
            self.forgotten = True
        else:
            self.queue.append(offered)

    def take(self, most: int) -> list[Offered]:
        """The oldest that may go now."""
        taken = [self.queue.popleft() for _ in range(min(most, self.free, len(self.queue)))]
        self.sent |= {offered.id: math.inf for offered in taken}
        return taken

    def acknowledged(self, name: str, now: float) -> None:
        """The broker has it."""
        if name in self.sent:
            self.sent[name] = now

    def refused(self, ids: Iterable[str]) -> None:
        """Their publish failed: they wait in the ledger."""
        for name in ids:
            self.sent.pop(name, None)
        self.forgotten = True

    def holds(self, name: str) -> bool:
        """Whether this mutation is in hand here."""
        return name in self.sent or any(offered.id == name for offered in self.queue)
