"""How long mutations take, seen from outside: from the 202 to the first callback, in seconds of one clock."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace

from deploy.bench.figures import percentile
from tests.e2e.client import Client, Json, inline, person
from tests.retry import eventually

NOTE = inline("note.txt", b"A note about a test person.", "text/plain")


@dataclass
class Watched:
    """One client's mutations, called back at a hook of their own: when each was accepted, when and how it ended."""

    client: Client
    accepted: dict[str, float] = field(default_factory=dict)
    ended: dict[str, tuple[float, Json]] = field(default_factory=dict)
    _read: int = 0

    async def send(self, body: Json | None = None, path: str = "/candidates", method: str = "POST") -> str:
        """A write that must be accepted, a create with a small file by default; the mutation's id.

        It is called back at this client's hook, unless the body says otherwise.
        """
        called_back = {"callbackUrl": self.client.callback_url}
        answer = await self.client.call(method, path, called_back | (body or person(otherAttachments=[NOTE])))
        assert answer.status == 202, answer.body
        mutation = str(answer.mutation["mutationId"])
        self.accepted[mutation] = time.perf_counter()
        return mutation

    def look(self) -> dict[str, tuple[float, Json]]:
        """By mutation: when its first callback came, and the `data` of it."""
        taken = self.client.site.receiver.callbacks.get(self.client.hook, [])
        for callback in taken[self._read :]:
            data = json.loads(callback.body)["data"]
            self.ended.setdefault(data["mutationId"], (callback.at, data))
        self._read = len(taken)
        return self.ended

    @property
    def unfinished(self) -> int:
        """How many were accepted and not called back yet."""
        return len(self.accepted.keys() - self.look().keys())

    async def all_ended(self, seconds: float = 120.0) -> None:
        """Wait until each was called back. Raises AssertionError."""

        async def none_left() -> None:
            assert not self.unfinished, f"no callback for {self.unfinished} of {len(self.accepted)}"

        await eventually(none_left, seconds)

    def statuses(self) -> set[str]:
        """In which they ended."""
        return {str(data["status"]) for _, data in self.look().values()}

    def delays(self) -> list[float]:
        """Seconds of each that has ended."""
        return [max(0.0, self.ended[name][0] - at) for name, at in self.accepted.items() if name in self.look()]


def watched(client: Client) -> Watched:
    """Mutations of this client at a new hook."""
    return Watched(replace(client, hook=secrets.token_hex(8)))


async def paced(count: int, per_second: float) -> AsyncIterator[int]:
    """Numbers from 0, each at its time, however late the one before it was."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    for number in range(count):
        await asyncio.sleep(begun + number / per_second - clock())
        yield number


async def steadily(
    mine: Watched, count: int, per_second: float, body: Callable[[int], Json | None] = lambda _: None
) -> None:
    """Send so many at this pace, without waiting for answers, then wait until all are called back."""
    async with asyncio.TaskGroup() as sending:
        async for number in paced(count, per_second):
            sending.create_task(mine.send(body(number)))
    await mine.all_ended()


def in_ms(seconds: Iterable[float]) -> Json:
    """Percentiles of delays, in ms."""
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "most": 1.0}
    return {"n": len(ordered)} | {
        name: round(percentile(ordered, share) * 1000, 1) for name, share in shares.items() if ordered
    }
