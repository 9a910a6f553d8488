"""Group commit: what comes while one call is under way goes together in the next one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from shared.errors import DependencyUnavailable

T = TypeVar("T")
R = TypeVar("R")
LARGEST: Final = 64  # calls in one


class Groups(Generic[T, R]):
    """One call at a time for many; what fails of one is no failure of its neighbours.

    `together` takes some and gives a result or an error for each, in their order. `heaviest`: a group ends with the one
    whose `weight` brings it so far, so few that nobody waits long for what others bring.
    """

    def __init__(
        self,
        together: Callable[[list[T]], Awaitable[list[R | Exception]]],
        weight: Callable[[T], int],
        heaviest: int,
    ) -> None:
        self._together, self._weight, self._heaviest = together, weight, heaviest
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def call(self, one: T) -> R:
        """What becomes of this one, in its turn. Raises what `together` raises or gives for it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        while self._waiting:
            group = self._next_group()
            try:
                results = await self._results([one for one, _ in group])
            except DependencyUnavailable as away:
                # Who waits behind an absence shares it: each group in its turn would meet it as long again.
                group, self._waiting = group + self._waiting, []
                results = [away] * len(group)
            except asyncio.CancelledError:
                group, self._waiting = group + self._waiting, []
                for _, future in group:  # nobody else would ever answer them
                    future.cancel()
                raise
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_exception(result) if isinstance(result, Exception) else future.set_result(result)

    async def _results(self, group: list[T]) -> list[R | Exception]:
        try:
            return await self._together(group)
        except DependencyUnavailable:
            raise
        except Exception as error:
            # One that can't be encoded fails the whole call, also for its neighbours: each by itself then.
            return [error] if len(group) == 1 else await self._one_by_one(group)

    async def _one_by_one(self, group: list[T]) -> list[R | Exception]:
        results: list[R | Exception] = []
        for one in group:
            try:
                results += await self._together([one])
            except DependencyUnavailable as away:
                return results + [away] * (len(group) - len(results))
            except Exception as alone:
                results.append(alone)
        return results

    def _next_group(self) -> list[tuple[T, asyncio.Future[R]]]:
        weight = count = 0
        for one, _ in self._waiting[:LARGEST]:
            weight += self._weight(one)
            count += 1
            if weight >= self._heaviest:
                break
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group
