"""Who has asked for several things at once owns them: whatever fails, nothing goes on when it is told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.notifier.handler import TopicOutcome
from services.notifier.outcomes import KafkaOutcomes
from services.storage.decider import Decider
from services.storage.files import FileStore
from services.storage.together import together
from services.storage.work import Work
from shared.content.judge import judge
from shared.errors import DependencyUnavailable
from tests.factories import assign, inline, mutation, new_id, upload
from tests.fakes import InMemoryBlobs
from tests.fakes_notifier import completed

FILES = 5


class Several:
    """Calls that belong together: the last one to come fails once all are under way, the others take long."""

    def __init__(self, failure: Exception | None = None, expected: int = FILES) -> None:
        self.under_way, self.ended = 0, 0
        self.all_here, self.release = asyncio.Event(), asyncio.Event()
        self._failure, self._expected = failure, expected

    async def one(self) -> None:
        """Take part."""
        self.under_way += 1
        try:
            if self.under_way == self._expected:
                self.all_here.set()
                if self._failure:
                    raise self._failure
            await self.release.wait()
            self.ended += 1
        finally:
            self.under_way -= 1


class SlowBlobs(InMemoryBlobs):
    """Stores only what it is given time for."""

    def __init__(self, several: Several) -> None:
        super().__init__()
        self._several = several

    async def put(self, *arguments: Any) -> None:
        await self._several.one()
        await super().put(*arguments)

    async def copy(self, source: str, target: str) -> None:
        await self.put(target, b"", 0)


def batch(blobs: InMemoryBlobs) -> Awaitable[object]:
    """A batch of mutations, a file each."""
    decider = Decider(None, FileStore(blobs, judge), None, None)  # type: ignore[arg-type]
    return decider.make("live", [Work(mutation(files={new_id(): inline()})) for _ in range(FILES)])


def files(blobs: InMemoryBlobs) -> Awaitable[object]:
    """A mutation with several files."""
    return FileStore(blobs, judge).store("live", Work(mutation(files={new_id(): inline() for _ in range(FILES)})))


def uploads(blobs: InMemoryBlobs) -> Awaitable[object]:
    """An assign of several uploads."""
    names = [new_id() for _ in range(FILES)]
    document = assign({new_id(): 1}, *names)
    claimed = {name: upload(name, claimedBy=document["_id"]) for name in names}
    return FileStore(blobs, judge).assign("live", document, claimed)


WAYS = pytest.mark.parametrize("way", [batch, files, uploads])


@WAYS
@pytest.mark.parametrize("failure", [DependencyUnavailable("s3", "away"), ValueError("a bug")])
async def test_what_fails_is_raised_as_it_is_and_nothing_else_is_stored_behind_it(
    way: Callable[[InMemoryBlobs], Awaitable[object]], failure: Exception
) -> None:
    several = Several(failure)
    blobs = SlowBlobs(several)

    with pytest.raises(type(failure)) as raised:
        await way(blobs)
    left = several.under_way
    several.release.set()
    await asyncio.sleep(0)

    assert raised.value is failure
    assert left == 0
    assert blobs.objects == {}


@WAYS
async def test_what_is_cut_off_from_outside_leaves_nothing_under_way(
    way: Callable[[InMemoryBlobs], Awaitable[object]],
) -> None:
    several = Several()
    asking = asyncio.ensure_future(way(SlowBlobs(several)))
    await several.all_here.wait()

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert several.under_way == 0


async def test_who_misses_being_cut_off_is_waited_for() -> None:
    several, ended = Several(ValueError("a bug"), expected=2), []

    async def deaf() -> None:
        try:
            await several.one()
        except asyncio.CancelledError:  # as `wait_for` does before Python 3.12, when its result comes at that moment
            await asyncio.sleep(0)
            ended.append("deaf")

    with pytest.raises(ValueError, match="a bug"):
        await together([deaf(), several.one()])

    assert ended == ["deaf"]


class SlowPublisher:
    """The producer, for several sends of which one fails."""

    def __init__(self, several: Several) -> None:
        self._several = several

    async def publish(self, *_: object) -> None:
        await self._several.one()

    async def ensure(self, _: object) -> None:
        """All topics are there."""


def outcomes(tenants: int) -> list[TopicOutcome]:
    """As many as belong together, of so many tenants."""
    plain = [completed(f"m{number}") for number in range(FILES)]
    events = [each.event.model_copy(update={"tenant": f"t{n % tenants}"}) for n, each in enumerate(plain)]
    return [TopicOutcome(each._replace(event=event), b"{}") for each, event in zip(plain, events, strict=True)]


async def test_outcomes_of_a_tenant_are_told_as_unpublished_when_none_is_on_its_way_any_more() -> None:
    several = Several(DependencyUnavailable("kafka", "16 MiB wait already"))
    publisher: Any = SlowPublisher(several)
    asyncio.get_running_loop().call_later(0.05, several.release.set)

    assert await KafkaOutcomes(publisher, publisher).publish(outcomes(tenants=1)) == set()

    assert (several.under_way, several.ended) == (0, FILES - 1)


@pytest.mark.parametrize("tenants", [1, FILES])
async def test_bug_in_one_outcome_is_told_when_no_other_is_on_its_way_any_more(tenants: int) -> None:
    several = Several(ValueError("a bug"))
    publisher: Any = SlowPublisher(several)
    asyncio.get_running_loop().call_later(0.05, several.release.set)

    with pytest.raises(ValueError, match="a bug"):
        await KafkaOutcomes(publisher, publisher).publish(outcomes(tenants))

    assert (several.under_way, several.ended) == (0, FILES - 1)
