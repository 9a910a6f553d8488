"""Room is shared fairly: whatever one receiver does, it slows no other."""

import asyncio
from collections import Counter
from statistics import median

from services.notifier.dispatch import Lane, PendingDispatch
from services.notifier.dispatcher import FairDispatcher, Room
from tests.fakes_notifier import in_virtual_time, pending

DEAD, HEALTHY = Lane("acme", "dead.example.com"), Lane("acme", "healthy.example.com")


class Receivers:
    """Healthy ones answer after 10 ms, dead ones never: an attempt ends after 15 s. Notes when and how many at once."""

    def __init__(self) -> None:
        self.ended: dict[str, float] = {}
        self.active: Counter[Lane] = Counter()
        self.most: Counter[Lane] = Counter()
        self.most_at_once = 0
        self.order: list[str] = []
        self.healed = False

    async def attempt(self, dispatch: PendingDispatch) -> bool:
        self.active[dispatch.lane] += 1
        self.most[dispatch.lane] = max(self.most[dispatch.lane], self.active[dispatch.lane])
        self.most_at_once = max(self.most_at_once, self.active.total())
        self.order.append(dispatch.delivery)
        answers = self.healed or not dispatch.lane.host.startswith("dead")
        await asyncio.sleep(0.01 if answers else 15.0)
        self.active[dispatch.lane] -= 1
        self.ended[dispatch.delivery] = asyncio.get_running_loop().time()
        return answers


def dispatcher(receivers: Receivers, room: Room | None = None) -> FairDispatcher:
    return FairDispatcher(receivers.attempt, room or Room(), asyncio.get_running_loop().time)


def offer(dispatch: FairDispatcher, delivery: str, lane: Lane) -> bool:
    if not dispatch.reserve(lane):
        return False
    dispatch.submit(pending(delivery, lane))
    return True


def test_one_dead_receiver_slows_none_of_nine_healthy_ones() -> None:
    async def scenario() -> list[float]:
        receivers = Receivers()
        fair = dispatcher(receivers)
        lanes = [Lane("acme", f"healthy{n}.example.com") for n in range(9)]
        started: dict[str, float] = {}
        for turn in range(200):
            offer(fair, f"dead{turn}", DEAD)
            for n, lane in enumerate(lanes):
                started[f"{n}.{turn}"] = asyncio.get_running_loop().time()
                assert offer(fair, f"{n}.{turn}", lane)
            await asyncio.sleep(0.05)
        await fair.drain(1.0)
        return [receivers.ended[each] - begun for each, begun in started.items()]

    latencies = in_virtual_time(scenario)
    assert len(latencies) == 1800
    assert median(latencies) < 0.02
    assert max(latencies) < 0.1


def test_no_receiver_is_asked_by_more_than_its_share_at_once() -> None:
    async def scenario() -> Receivers:
        receivers = Receivers()
        fair = dispatcher(receivers, Room(in_flight=10, per_lane=4))
        for n in range(40):
            offer(fair, f"a{n}", HEALTHY)
            offer(fair, f"b{n}", Lane("other", "busy.example.com"))
            offer(fair, f"c{n}", Lane("third", "busy.example.com"))
        await asyncio.sleep(1)
        return receivers

    receivers = in_virtual_time(scenario)
    assert set(receivers.most.values()) == {4}
    assert receivers.most_at_once == 10
    assert len(receivers.ended) == 120


def test_a_tenant_with_many_dead_receivers_leaves_room_for_others() -> None:
    async def scenario() -> float:
        receivers = Receivers()
        fair = dispatcher(receivers, Room(in_flight=20, per_tenant=10))
        for n in range(100):
            offer(fair, f"d{n}", Lane("acme", f"dead{n}.example.com"))
        offer(fair, "h", Lane("other", "healthy.example.com"))
        await asyncio.sleep(1)
        return receivers.ended.get("h", 99.0)

    assert in_virtual_time(scenario) < 0.1


def test_lanes_take_turns() -> None:
    async def scenario() -> list[str]:
        receivers = Receivers()
        fair = dispatcher(receivers, Room(in_flight=1))
        for n in range(3):
            offer(fair, f"a{n}", HEALTHY)
        for n in range(3):
            offer(fair, f"b{n}", Lane("other", "healthy.example.com"))
        await asyncio.sleep(1)
        return receivers.order

    assert in_virtual_time(scenario) == ["a0", "a1", "b0", "a2", "b1", "b2"]


def test_memory_is_bounded_in_all_and_for_one_lane() -> None:
    async def scenario() -> tuple[int, int]:
        fair = dispatcher(Receivers(), Room(in_memory=30, in_memory_per_lane=20))
        of_one = sum(offer(fair, f"a{n}", HEALTHY) for n in range(100))
        in_all = of_one + sum(offer(fair, f"b{n}", Lane("other", f"h{n}")) for n in range(100))
        return of_one, in_all

    assert in_virtual_time(scenario) == (20, 30)


def test_a_tenant_with_many_host_names_leaves_room_in_memory_for_others() -> None:
    async def scenario() -> tuple[int, int, bool]:
        fair = dispatcher(Receivers(), Room(in_memory=40, in_memory_per_lane=5))
        of_one = sum(offer(fair, f"a{n}", Lane("acme", f"h{n}.example.com")) for n in range(100))
        of_other = sum(offer(fair, f"b{n}", Lane("other", f"h{n}.example.com")) for n in range(3))
        await asyncio.sleep(1)
        return of_one, of_other, offer(fair, "again", HEALTHY)

    assert in_virtual_time(scenario) == (10, 3, True)


def test_a_receiver_that_answers_nothing_gets_few_places_until_it_answers_again() -> None:
    async def scenario() -> tuple[int, int]:
        receivers = Receivers()
        fair = dispatcher(receivers)
        for n in range(3):
            offer(fair, f"d{n}", DEAD)
        await asyncio.sleep(16)
        assert fair.failures(DEAD) == 3
        while_dead = sum(offer(fair, f"e{n}", DEAD) for n in range(100))
        receivers.healed = True
        await asyncio.sleep(16)
        return while_dead, sum(offer(fair, f"f{n}", DEAD) for n in range(100))

    assert in_virtual_time(scenario) == (2, 100)


def test_what_waited_too_long_for_its_lease_is_not_started() -> None:
    async def scenario() -> tuple[list[str], int]:
        receivers = Receivers()
        fair = dispatcher(receivers, Room(per_lane=1, longest_wait=20.0, in_memory=5))
        for n in range(5):
            offer(fair, f"d{n}", DEAD)
        await asyncio.sleep(100)
        return receivers.order, fair.free

    assert in_virtual_time(scenario) == (["d0", "d1"], 5)


def test_a_bug_in_one_attempt_gives_its_room_back() -> None:
    async def scenario() -> tuple[int, bool]:
        async def attempt(_: PendingDispatch) -> bool:
            raise ValueError("a bug")

        fair = FairDispatcher(attempt, Room(in_memory=1), asyncio.get_running_loop().time)
        offer(fair, "a", HEALTHY)
        await asyncio.sleep(1)
        return fair.free, offer(fair, "b", HEALTHY)

    assert in_virtual_time(scenario) == (1, True)


def test_what_can_not_be_told_makes_no_receiver_dead_and_no_dead_one_alive() -> None:
    async def scenario() -> list[int]:
        told: list[bool | None] = [*[None] * 4, *[False] * 3, None]

        async def attempt(_: PendingDispatch) -> bool | None:
            return told.pop(0)

        fair, seen = FairDispatcher(attempt, Room(), asyncio.get_running_loop().time), list[int]()
        while told:
            offer(fair, f"a{len(told)}", HEALTHY)
            await asyncio.sleep(1)
            seen.append(fair.failures(HEALTHY))
        return seen

    assert in_virtual_time(scenario) == [0, 0, 0, 0, 1, 2, 3, 3]


def test_draining_waits_for_what_runs_and_hands_back_the_rest() -> None:
    async def scenario() -> tuple[dict[str, float], set[str], bool]:
        receivers = Receivers()
        fair = dispatcher(receivers, Room(per_lane=1))
        for n in range(2):
            offer(fair, f"h{n}", HEALTHY)
            offer(fair, f"d{n}", DEAD)
        await asyncio.sleep(0)
        left = await fair.drain(5.0)
        return receivers.ended, {each.delivery for each in left}, offer(fair, "late", HEALTHY)

    ended, left, late = in_virtual_time(scenario)
    assert set(ended) == {"h0"}
    assert left == {"h1", "d0", "d1"}
    assert not late


def test_room_is_announced_when_a_full_lane_is_half_empty() -> None:
    async def scenario() -> bool:
        fair = dispatcher(Receivers(), Room(in_memory_per_lane=4))
        for n in range(4):
            offer(fair, f"h{n}", HEALTHY)
        before = fair.has_room.is_set()
        await asyncio.sleep(1)
        return not before and fair.has_room.is_set()

    assert in_virtual_time(scenario)
