"""The window: commits never pass over a record in flight, and nothing of an older assignment counts."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.fetcher.window import Slot, Window

PARTITIONS = (0, 1)


class WindowRules(RuleBasedStateMachine):
    """Random starts, ends, commits, rebalances and broker restarts, against the plain truth of what was passed on."""

    def __init__(self) -> None:
        super().__init__()
        self.window: Window[int] = Window(5, 12)
        self.log = dict.fromkeys(PARTITIONS, 0)  # which incarnation of the partition's log is there
        self.position = dict.fromkeys(PARTITIONS, 0)
        self.committed = dict.fromkeys(PARTITIONS, 0)
        self.open: list[tuple[Slot, int, int, int]] = []
        self.stale: list[Slot] = []
        self.passed: set[tuple[int, int, int]] = set()

    @precondition(lambda self: self.window.room > 0)
    @rule(partition=st.sampled_from(PARTITIONS), gap=st.integers(0, 2))
    def start(self, partition: int, gap: int) -> None:
        for hole in range(gap):  # offsets that hold no record: compacted, or transaction markers
            self.passed.add((partition, self.log[partition], self.position[partition] + hole))
        offset = self.position[partition] + gap
        self.position[partition] = offset + 1
        self.open.append((self.window.start(partition, offset), partition, self.log[partition], offset))

    @rule(partition=st.sampled_from(PARTITIONS), gap=st.integers(0, 2))
    def find_no_record(self, partition: int, gap: int) -> None:
        for hole in range(gap):
            self.passed.add((partition, self.log[partition], self.position[partition] + hole))
        self.position[partition] += gap
        self.window.skip(partition, self.position[partition])

    @precondition(lambda self: self.open)
    @rule(data=st.data(), twice=st.booleans())
    def pass_on(self, data: st.DataObject, twice: bool) -> None:
        slot, partition, log, offset = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.passed.add((partition, log, offset))
        for _ in range(1 + twice):
            self.window.complete(slot)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def pass_on_late(self, data: st.DataObject) -> None:
        self.window.complete(self.stale.pop(data.draw(st.integers(0, len(self.stale) - 1))))

    @rule()
    def commit(self) -> None:
        offsets = self.window.committable()
        for partition, offset in offsets.items():
            assert offset >= self.committed[partition], "a commit goes forward"
            missing = [o for o in range(offset) if (partition, self.log[partition], o) not in self.passed]
            assert not missing, "a commit passes over nothing"
        self.committed.update(offsets)
        self.window.committed(offsets)
        assert not self.window.committable()

    @rule()
    def rebalance(self) -> None:
        self.window.clear()
        self.stale += [slot for slot, *_ in self.open]
        self.open = []
        self.position = dict(self.committed)

    @rule(partition=st.sampled_from(PARTITIONS))
    def broker_begins_again(self, partition: int) -> None:
        full = self.window.room == 0 and all(p != partition for _, p, *_ in self.open)
        if self.position[partition] == 0 or full:
            return
        self.log[partition] += 1
        self.position[partition] = self.committed[partition] = 0
        self.stale += [slot for slot, p, *_ in self.open if p == partition]
        self.open = [found for found in self.open if found[1] != partition]
        self.open.append((self.window.start(partition, 0), partition, self.log[partition], 0))
        self.position[partition] = 1

    @invariant()
    def in_flight_is_what_was_started_and_not_passed_on(self) -> None:
        assert self.window.in_flight == len(self.open) <= 5

    def teardown(self) -> None:
        for slot, partition, log, offset in self.open:
            self.passed.add((partition, log, offset))
            self.window.complete(slot)
        for partition, position in self.position.items():
            self.window.skip(partition, position)
        self.committed.update(self.window.committable())
        assert self.committed == self.position, "when all is passed on, all is committed"


WindowRules.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWindow = WindowRules.TestCase


def test_finished_records_behind_a_slow_one_use_up_the_span_of_their_partition_not_the_room() -> None:
    window: Window[str] = Window(2, 4)
    window.complete(window.start("other", 0))
    slow = window.start("p", 0)
    for offset in (1, 2, 3):
        window.complete(window.start("p", offset))
    assert (window.in_flight, window.room, window.committable()) == (1, 1, {"other": 1})
    assert window.overdrawn == {"p"}
    window.complete(slow)
    assert (window.in_flight, window.room, window.committable()) == (0, 2, {"other": 1, "p": 4})
    assert window.overdrawn == set()


def test_refused_commit_is_offered_again() -> None:
    window: Window[str] = Window(2, 4)
    window.complete(window.start("p", 7))
    assert window.committable() == window.committable() == {"p": 8}
    window.committed({"p": 8})
    assert window.committable() == {}
