"""How far a group is behind, told by the watchdog's looks: how many records wait, and since when the oldest of them.

The age is a lower bound: what waited before this process had its partition counts from its first look at it.
"""

from typing import Final

from aiokafka import TopicPartition
from prometheus_client import Gauge

from shared.offsets import Note

RECORDS = Gauge(
    "engine_consumer_lag_records",
    "Uncommitted records of the partitions of this process; absent while Kafka can't be asked",
    ["topic"],
)
OLDEST = Gauge(
    "engine_consumer_oldest_seconds", "For how long at least the oldest of them has waited; absent likewise", ["topic"]
)
GRAIN: Final = 32  # the age is right to a thirty-second of it: so a backlog of a week needs a few hundred looks


class Lag:
    """Fed with every look at the broker; `records` and `oldest` (seconds) are as of the last one."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._waiting: dict[TopicPartition, list[tuple[float, int]]] = {}  # when which end was first seen
        self.records, self.oldest = 0, 0.0

    def saw(self, now: float, ends: Note, reached: Note) -> None:
        """These partitions are ours, end there, and are committed so far."""
        self._waiting = {each: self._looks(each, now, end, reached[each]) for each, end in ends.items()}
        self.records = sum(max(end - reached[each], 0) for each, end in ends.items())
        self.oldest = max((now - looks[0][0] for looks in self._waiting.values() if looks), default=0.0)
        RECORDS.labels(self._topic).set(self.records)
        OLDEST.labels(self._topic).set(self.oldest)

    def unknown(self) -> None:
        """Nobody can tell any more: rather nothing is told than what may be wrong. With the next look ages go on."""
        for gauge in (RECORDS, OLDEST):
            gauge.remove(self._topic)

    def _looks(self, partition: TopicPartition, now: float, end: int, reached: int) -> list[tuple[float, int]]:
        """The looks that saw an end beyond what is committed: the first one saw the oldest record that waits."""
        looks = [each for each in self._waiting.get(partition, ()) if reached < each[1] <= end]
        if end > reached and (not looks or (looks[-1][1] < end and _worth_keeping(looks, now))):
            looks.append((now, end))
        return looks


def _worth_keeping(looks: list[tuple[float, int]], now: float) -> bool:
    return now - looks[-1][0] >= (now - looks[0][0]) / GRAIN
