"""What comes while a call is under way goes together in the next one, and shares no more than an absence."""

import asyncio

import pytest

from services.ingest.groups import LARGEST, Groups
from shared.errors import DependencyUnavailable


class Doubling:
    """Doubles numbers, a group at a time, from when `go` is set; 13 spoils its whole call, at 666 nobody is there,
    at 99 it is cut off."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def together(self, numbers: list[int]) -> list[int | Exception]:
        self.calls.append(numbers)
        self.began.set()
        await self.go.wait()
        if 13 in numbers:
            raise OverflowError(13)
        if 99 in numbers:
            raise asyncio.CancelledError
        if 666 in numbers:
            raise DependencyUnavailable("mongodb")
        return [ValueError(each) if each < 0 else 2 * each for each in numbers]


async def all_of(double: Doubling, numbers: list[int], heaviest: int = 10**6) -> list[object]:
    groups: Groups[int, int] = Groups(double.together, abs, heaviest)
    calls = [asyncio.ensure_future(groups.call(each)) for each in numbers]
    await double.began.wait()
    double.go.set()
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def test_those_that_wait_go_in_one_call_and_each_gets_its_own() -> None:
    double = Doubling()
    assert await all_of(double, list(range(100, 200))) == [2 * each for each in range(100, 200)]
    assert [len(each) for each in double.calls] == [LARGEST, 100 - LARGEST]


async def test_a_group_ends_with_the_one_that_makes_it_heavy() -> None:
    double = Doubling()
    await all_of(double, [1, 9, 1, 20, 1], heaviest=10)
    assert double.calls == [[1, 9], [1, 20], [1]]


async def test_what_fails_of_one_is_no_failure_of_its_neighbours() -> None:
    double = Doubling()
    found = await all_of(double, [1, -2, 13, 3])
    assert [type(each) for each in found] == [int, ValueError, OverflowError, int]


async def test_who_waits_behind_an_absence_shares_it_and_who_comes_later_asks_again() -> None:
    double = Doubling()
    found = await all_of(double, [666, *range(100, 200)])
    assert {type(each) for each in found} == {DependencyUnavailable}
    assert len(double.calls) == 1
    groups: Groups[int, int] = Groups(double.together, abs, 10)
    with pytest.raises(DependencyUnavailable):
        await groups.call(666)
    assert await groups.call(4) == 8


async def test_an_absence_in_the_middle_of_single_calls_ends_them() -> None:
    double = Doubling()
    found = await all_of(double, [1, 13, 3])
    assert found[0] == 2
    assert isinstance(found[1], OverflowError)
    assert found[2] == 6
    found = await all_of(Doubling(), [1, 13, 666, 3])
    assert [type(each) for each in found] == [int, OverflowError, DependencyUnavailable, DependencyUnavailable]


async def test_one_who_no_longer_waits_is_no_harm_to_the_others() -> None:
    double = Doubling()
    groups: Groups[int, int] = Groups(double.together, abs, 10**6)
    calls = [asyncio.ensure_future(groups.call(each)) for each in range(3)]
    await double.began.wait()
    calls[1].cancel()
    double.go.set()
    assert [each for each in await asyncio.gather(*calls, return_exceptions=True) if isinstance(each, int)] == [0, 4]


async def test_who_waits_for_a_call_that_is_cut_off_does_not_wait_for_ever() -> None:
    double = Doubling()
    found = await all_of(double, [99, *range(100, 200)])
    assert {type(each) for each in found} == {asyncio.CancelledError}
    assert len(double.calls) == 1
