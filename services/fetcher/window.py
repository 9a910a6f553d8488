"""The bounded window: which records of which partition are in flight, and how far each partition may be committed.

Only the contiguous prefix of passed-on records is committable: committing the largest one would pass over those still
in flight, and a kill would lose them. A new assignment starts empty; completions of an older one are void.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)  # a partition, whatever the broker's client calls it


@dataclass(slots=True, eq=False)
class _Lane:
    """One partition in one assignment: started offsets in order, those done out of order, the next one to commit."""

    started: deque[int] = field(default_factory=deque)
    done: set[int] = field(default_factory=set)
    newest: int = -1
    passed: int | None = None
    committed: int | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A record in flight; it belongs to the assignment in which it was started."""

    lane: _Lane
    offset: int


class Window(Generic[P]):
    """Counts records in flight against `size`, and a partition's that wait behind an unfinished one against `span`."""

    def __init__(self, size: int, span: int) -> None:
        self._size, self._span = size, span
        self._lanes: dict[P, _Lane] = {}

    def clear(self) -> None:
        """A new assignment begins: nothing is in flight, and nothing of the old one will ever be committed."""
        self._lanes = {}

    def start(self, partition: P, offset: int) -> Slot:
        """Take a record in. An offset that was seen before means that the log began anew: so does the lane."""
        lane = self._lanes.get(partition)
        if lane is None or offset <= lane.newest:
            lane = self._lanes[partition] = _Lane()
        lane.started.append(offset)
        lane.newest = offset
        return Slot(lane, offset)

    def skip(self, partition: P, position: int) -> None:
        """Every record before this position was started: with none in flight, the offsets up to it hold no more."""
        lane = self._lanes.setdefault(partition, _Lane())
        if not lane.started and position > lane.newest:
            lane.newest, lane.passed = position - 1, position

    def complete(self, slot: Slot) -> None:
        """A record was passed on. Of an older assignment, or twice: nothing happens."""
        lane = slot.lane
        if not lane.started or slot.offset < lane.started[0]:
            return
        lane.done.add(slot.offset)
        while lane.started and lane.started[0] in lane.done:
            offset = lane.started.popleft()
            lane.done.remove(offset)
            lane.passed = offset + 1

    def committable(self) -> dict[P, int]:
        """The next offset of each partition whose contiguous prefix has grown since `committed`."""
        return {
            partition: lane.passed
            for partition, lane in self._lanes.items()
            if lane.passed is not None and lane.passed != lane.committed
        }

    def committed(self, offsets: dict[P, int]) -> None:
        """The broker has taken these offsets."""
        for partition, offset in offsets.items():
            if (lane := self._lanes.get(partition)) and lane.passed is not None and offset <= lane.passed:
                lane.committed = offset

    @property
    def in_flight(self) -> int:
        """Records started and not passed on."""
        return sum(len(lane.started) - len(lane.done) for lane in self._lanes.values())

    @property
    def room(self) -> int:
        """How many records may still be started."""
        return max(0, self._size - self.in_flight)

    @property
    def overdrawn(self) -> set[P]:
        """Partitions of which no more should be started: as many as the span wait behind an unfinished record."""
        return {partition for partition, lane in self._lanes.items() if len(lane.started) >= self._span}
